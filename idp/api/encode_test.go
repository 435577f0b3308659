package api_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lanyard-sso/lanyard/idp/api"
)

// carried tells if a text comes back from an export as it went in.
func carried(t interface{ Fatalf(string, ...any) }, text string) {
	in := &api.AppDoc{Name: "SP", Description: text, SAML: &api.SAMLDoc{Metadata: &api.Source{Inline: text}, RelayState: text}}
	b, err := api.YAML([]any{in})
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	docs, faults := api.Decode("f", bytes.NewReader(append([]byte("kind: App\n"), b...)))
	if len(faults) > 0 || len(docs) != 1 {
		t.Fatalf("%q: %v\n%s", text, faults, b)
	}
	out := docs[0].Value.(*api.AppDoc)
	if out.Description != text || text != "" && out.SAML.Metadata.Inline != text {
		t.Fatalf("%q came back as %q and %q from\n%s", text, out.Description, out.SAML.Metadata.Inline, b)
	}
}

// What is exported is read again to the byte, whatever white space it begins with or ends in.
func TestExportCarriesTexts(t *testing.T) {
	for _, text := range []string{
		"\t<a/>\n", "\t<a>\n\t<b/>\n</a>", "\n\t<a/>\n", "\n<a/>", " <a/>\n", " \n<a/>\n", "<a/>\n\n\n", "<a>\r\n</a>\r\n", "<a>\r</a>\n", "<a>\u0085\u2028</a>\n", "\ufeff<a/>\n",
		"<a/> \n \n", "\n", "\n\n", "\t", " ", "#\n", "---\n...\n", "- a\n- b", "a: b\n", "null", "~", "\tx\ny", "x\n\ty", "x\n y\n\n", "\"\\\n", "\x7f\n", "\u00a0\n\u3000",
	} {
		carried(t, text)
	}
	piece := rapid.SampledFrom([]string{"\t", "\n", "\r\n", "\r", " ", "  ", "<a>", "é", "#", ":", "-", "'", "\"", "\\", "\u0085", "\u2028", "\ufeff", "\x7f", "|", ">", "%", "x"})
	rapid.Check(t, func(t *rapid.T) {
		carried(t, strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), ""))
	})
}
