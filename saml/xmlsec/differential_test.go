package xmlsec_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// generatedDocuments is how many documents each comparison with other people's canonicalizers looks at.
const generatedDocuments = 10_000

// goxmldsigForm is the exclusive canonical form of doc as Go's service providers see it.
func goxmldsigForm(doc string, prefixes string) ([]byte, error) {
	tree := etree.NewDocument()
	if err := tree.ReadFromString(doc); err != nil {
		return nil, err
	}
	return dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(prefixes).Canonicalize(tree.Root())
}

// TestCanonicalLikeLibxml2: our canonical form of 10,000 documents is libxml2's, and its own canonical form.
func TestCanonicalLikeLibxml2(t *testing.T) {
	docs := make([][]byte, generatedDocuments)
	for i := range docs {
		doc, _ := generate(uint64(i), false)
		docs[i] = []byte(doc)
	}
	forms, minds := libxml2(t, docs)
	wrong := 0
	for i, doc := range docs {
		if wrong > 5 {
			t.Fatal("and more")
		}
		e, err := xmlsec.Parse(doc, xmlsec.MessageLimits())
		if err != nil || minds[i] != "" {
			wrong++
			t.Errorf("document %d is refused: %v, libxml2 %q\n%q", i, err, minds[i], doc)
			continue
		}
		got := e.Canonical()
		if string(got) != forms[i] {
			wrong++
			t.Errorf("document %d %q\nours    %q\nlibxml2 %q", i, doc, got, forms[i])
			continue
		}
		if again, err := xmlsec.Parse(got, xmlsec.MetadataLimits()); err != nil || !bytes.Equal(again.Canonical(), got) {
			wrong++
			t.Errorf("document %d: the canonical form %q is not its own: %v", i, got, err)
		}
	}
}

// TestCanonicalLikeGoxmldsig: goxmldsig, which Go's service providers verify with, sees the same bytes in 10,000 documents.
// Where it does not, and libxml2 does (above), there is in the document something it is known to get wrong.
func TestCanonicalLikeGoxmldsig(t *testing.T) {
	same, known := 0, map[string]int{}
	for i := range generatedDocuments {
		doc, has := generate(uint64(i), i%4 > 0)
		got := parse(t, doc).Canonical()
		want, err := goxmldsigForm(doc, "")
		switch {
		case err == nil && bytes.Equal(got, want):
			same++
		case len(has) == 0:
			t.Fatalf("document %d %q\nours      %q\ngoxmldsig %q %v", i, doc, got, want, err)
		default:
			for odd := range has {
				known[odd]++
			}
		}
	}
	t.Logf("%d the same; in the others: %v", same, known)
	if same < generatedDocuments*3/4 {
		t.Errorf("only %d documents are the same", same)
	}
}

// prefixList draws an InclusiveNamespaces PrefixList: as it is written, and as CanonicalWith takes it.
func (g *generator) prefixList() (written string, list []string) {
	var words []string
	for _, p := range []string{"#default", "p", "q", "r-1", "nobody"} {
		if !g.odds(3) {
			words = append(words, p)
		}
	}
	g.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	for _, p := range words {
		list = append(list, strings.TrimPrefix(p, "#default"))
	}
	return strings.Join(words, " "), list
}

// TestPrefixListLikeGoxmldsig: the same with an InclusiveNamespaces PrefixList, but for #default, which goxmldsig takes for
// a prefix.
func TestPrefixListLikeGoxmldsig(t *testing.T) {
	longer := 0
	for i := range generatedDocuments {
		doc, _ := generate(uint64(i), true)
		g := &generator{Rand: rand.New(rand.NewPCG(uint64(i), 2))}
		written, list := g.prefixList()
		written, list = strings.ReplaceAll(written, "#default", ""), slices.DeleteFunc(list, func(p string) bool { return p == "" })
		e := parse(t, doc)
		got := xmlsec.CanonicalWith(e, list)
		want, err := goxmldsigForm(doc, written)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("document %d, PrefixList %q: %q\nours      %q\ngoxmldsig %q %v", i, written, doc, got, want, err)
		}
		if !bytes.Equal(got, e.Canonical()) {
			longer++
		}
	}
	if longer < generatedDocuments/4 {
		t.Errorf("only in %d documents does the list matter", longer)
	}
}

// signedDocument is document number n below a root that is signed with ECDSA, both PrefixLists drawn.
func signedDocument(t testing.TB, n uint64, k pair) string {
	t.Helper()
	g := &generator{Rand: rand.New(rand.NewPCG(n, 3)), has: map[string]bool{}}
	g.element(0)
	inner := g.b.String()
	declared := ""
	for _, p := range []string{"xmlns", "xmlns:p", "xmlns:q", "xmlns:r-1", "xmlns:ec"} {
		if g.odds(2) {
			declared += " " + p + `="` + g.one(generatedURIs...) + `"`
		}
	}
	open, end := `<w:root xmlns:w="urn:w"`+declared+` ID="_1">`, `</w:root>`
	method := func(kind string, written string) string {
		s := `<ds:` + kind + ` Algorithm="` + excC14NAlg + `">`
		if written != "" {
			s += `<ec:InclusiveNamespaces xmlns:ec="` + excC14NAlg + `" PrefixList="` + written + `"/>`
		}
		return s + `</ds:` + kind + `>`
	}
	ofInfo, infoList := g.prefixList()
	ofContent, contentList := g.prefixList()
	sum := sha256.Sum256(xmlsec.CanonicalWith(parse(t, open+inner+end), contentList))
	head := `<ds:Signature xmlns:ds="` + ds + `"` + g.one("", ` xmlns:p="urn:of-signature"`) + `>` + g.one("", "\n ")
	info := `<ds:SignedInfo` + g.one("", ` xmlns:q="urn:of-info"`) + `>` + method("CanonicalizationMethod", ofInfo) +
		`<ds:SignatureMethod Algorithm="` + ecdsaSHA256 + `"/><ds:Reference URI="#_1"><ds:Transforms>` +
		`<ds:Transform Algorithm="` + envelopedAlg + `"/>` + method("Transform", ofContent) + `</ds:Transforms>` +
		`<ds:DigestMethod Algorithm="` + sha256Alg + `"/><ds:DigestValue>` + base64.StdEncoding.EncodeToString(sum[:]) + `</ds:DigestValue></ds:Reference></ds:SignedInfo>`
	tail := `<ds:SignatureValue>@V</ds:SignatureValue></ds:Signature>`
	root := parse(t, open+head+info+tail+inner+end)
	signature := root.Child(xmlsec.Name{Space: ds, Local: "Signature"})
	value := signBytes(t, k.key, crypto.SHA256, xmlsec.CanonicalWith(signature.Child(xmlsec.Name{Space: ds, Local: "SignedInfo"}), infoList, root, signature))
	return open + head + info + strings.Replace(tail, "@V", base64.StdEncoding.EncodeToString(value), 1) + inner + end
}

// verifiedByXmlsec1 has xmlsec1 verify documents, all in one process; it stops at the first that it refuses.
func verifiedByXmlsec1(t testing.TB, docs [][]byte, root string, k pair) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--verify", "--pubkey-cert-pem", "cert.pem", "--id-attr:ID", root}
	files := map[string][]byte{"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: k.cert})}
	for i, doc := range docs {
		name := strconv.Itoa(i) + ".xml"
		files[name] = doc
		args = append(args, name)
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(tool(t, "xmlsec1"), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if n := bytes.Count(out, []byte("OK\n")); err != nil || n != len(docs) {
		t.Errorf("xmlsec1 verified %d of %d: %v\n%s\n%q", n, len(docs), err, out[max(0, len(out)-600):], docs[min(n, len(docs)-1)])
	}
}

// TestVerifyLikeXmlsec1: 2,000 signed documents with PrefixLists of both kinds, namespaces around the signature, in it and
// in its SignedInfo: we verify them, and so does xmlsec1, which is libxml2's canonicalizer with PrefixLists.
func TestVerifyLikeXmlsec1(t *testing.T) {
	k := ecKey()
	docs := make([][]byte, 2000)
	for i := range docs {
		docs[i] = []byte(signedDocument(t, uint64(i), k))
		if _, err := xmlsec.Verify(parse(t, string(docs[i])), k.keys()); err != nil {
			t.Fatalf("document %d: %v\n%s", i, err, docs[i])
		}
	}
	verifiedByXmlsec1(t, docs, "urn:w:root", k)
}

// TestVerifyNeverLaxer: of a signed document with small changes we verify none that xmlsec1 or goxmldsig refuses.
func TestVerifyNeverLaxer(t *testing.T) {
	k := rsaKey()
	signed := forgery{key: k.key, edits: []string{"<ds:KeyInfo><ds:KeyName>ignored</ds:KeyName></ds:KeyInfo>", ""}}.make(t)
	changes := []string{" ", "\n", "\t", "\r\n", "<!-- -->", "<![CDATA[]]>", "<![CDATA[x]]>", "&#x20;", "&#32;", "&#10;", "&#13;", ` x="y"`, ` xmlns:k="urn:k"`, ` xmlns="urn:k"`, ` xmlns=""`, "<x/>", "x", "=", "A",
		`<ds:Object/>`, `<ds:Signature xmlns:ds="` + ds + `"/>`, ` ID="_r2"`, ` Id="_r1"`, "&amp;", "samlp:", "ds:", "--", `"`, "'", "/", "_r1", "#"}
	r := rand.New(rand.NewPCG(5, 6))
	var accepted [][]byte
	seen := map[string]bool{}
	for range 20_000 {
		b := []byte(signed)
		for range 1 + r.IntN(2) {
			i := r.IntN(len(b))
			b = slices.Concat(b[:i], []byte(changes[r.IntN(len(changes))]), b[min(len(b), i+r.IntN(8)/6):])
		}
		root, err := xmlsec.Parse(b, xmlsec.MessageLimits())
		if err != nil || seen[string(b)] {
			continue
		}
		seen[string(b)] = true
		if _, err := xmlsec.Verify(root, k.keys()); err != nil {
			continue
		}
		accepted = append(accepted, b)
		if err := goxmldsigVerify(t, b, k.cert); err != nil {
			t.Errorf("goxmldsig: %v\n%q", err, b)
		}
	}
	t.Logf("%d changed documents still verify", len(accepted))
	if len(accepted) < 100 {
		t.Error("too few to say anything")
	}
	verifiedByXmlsec1(t, accepted, samlp+":AuthnRequest", k)
}
