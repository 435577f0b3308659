package keys_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/keys"
)

// counting is a master key that is easy to recognise: 00 01 02 … 1f.
func counting() []byte {
	master := make([]byte, 32)
	for i := range master {
		master[i] = byte(i)
	}
	return master
}

func sealer(t testing.TB) *keys.Sealer {
	t.Helper()
	s, err := keys.NewSealer(counting())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpen(t *testing.T) {
	s := sealer(t)
	for _, plain := range []string{"", "x", strings.Repeat("secret ", 1000)} {
		sealed := s.Seal("app/default/1/secret", []byte(plain))
		if len(plain) > 1 && bytes.Contains(sealed, []byte(plain[:4])) {
			t.Errorf("SEC-01: the sealed value shows %q", plain[:4])
		}
		if bytes.Equal(sealed, s.Seal("app/default/1/secret", []byte(plain))) {
			t.Error("sealing twice gave the same bytes: the nonce is not random")
		}
		got, err := s.Open("app/default/1/secret", sealed)
		if err != nil || string(got) != plain {
			t.Errorf("Open = %q, %v; want %q", got, err, plain)
		}
	}
}

// "plain" sealed under counting for "aad", once, at rest and for signing keys; checked
// against another implementation of HKDF and AES-GCM.
const (
	sealedAtRest = "016f3e99a2de5a2423756aa4c020843507f146bd9e5e1fa3d8f9179bbd7a96593641"
	sealedKey    = "01321af2772b03669a36a1957222a0d2a8651799155e68c72d696d5d79b94915d711"
)

// What lies in databases must open for ever.
func TestSealedFormatStays(t *testing.T) {
	for _, test := range []struct {
		name, sealed string
		s            *keys.Sealer
	}{
		{"at rest", sealedAtRest, sealer(t)},
		{"for a purpose", sealedKey, sealer(t).For("signing keys")},
	} {
		sealed, err := hex.DecodeString(test.sealed)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := test.s.Open("aad", sealed)
		if err != nil || string(plain) != "plain" {
			t.Errorf("%s: Open = %q, %v; want plain. Today's would be %x", test.name, plain, err, test.s.Seal("aad", []byte("plain")))
		}
	}
}

func TestSealTampered(t *testing.T) {
	s := sealer(t)
	const aad = "key/default/oidc/1"
	sealed := s.Seal(aad, []byte("plain"))
	check := func(name string, s *keys.Sealer, aad string, sealed []byte) {
		t.Helper()
		if plain, err := s.Open(aad, sealed); err != keys.ErrSealed || plain != nil {
			t.Errorf("%s: Open = %q, %v; want nothing and ErrSealed", name, plain, err)
		}
	}
	for bit := range len(sealed) * 8 {
		altered := bytes.Clone(sealed)
		altered[bit/8] ^= 1 << (bit % 8)
		check(fmt.Sprintf("bit %d flipped", bit), s, aad, altered)
	}
	for n := range sealed {
		check(fmt.Sprintf("cut to %d", n), s, aad, sealed[:n])
	}
	check("nil", s, aad, nil)
	check("longer", s, aad, append(bytes.Clone(sealed), 0))
	for _, other := range []string{"", "key/default/oidc/2", "key/default/saml/1", aad + "\x00", strings.ToUpper(aad)} {
		check("aad "+other, s, other, sealed)
	}
	check("SEC-10: another purpose", s.For("ask"), aad, sealed)
	check("SEC-10: sealed for a purpose", s, aad, s.For("ask").Seal(aad, []byte("plain")))
	check("SEC-10: two purposes", s.For("ask"), aad, s.For("cursor").Seal(aad, []byte("plain")))
	check("the purpose at rest is no other's", s.For("at rest"), aad, sealed)

	master := counting()
	master[31] ^= 1
	other, err := keys.NewSealer(master)
	if err != nil {
		t.Fatal(err)
	}
	check("SEC-02: another master key", other, aad, sealed)
}

func TestForIsTheSamePurposeAgain(t *testing.T) {
	s := sealer(t)
	got, err := s.For("a").For("b").Open("x", s.For("b").Seal("x", []byte("plain")))
	if err != nil || string(got) != "plain" {
		t.Errorf("Open = %q, %v", got, err)
	}
}

func TestNewSealerSize(t *testing.T) {
	for _, n := range []int{0, 16, 31, 33, 64} {
		if _, err := keys.NewSealer(make([]byte, n)); err == nil {
			t.Errorf("a master key of %d bytes was taken", n)
		}
	}
	master := counting()
	s, err := keys.NewSealer(master)
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal("x", []byte("plain"))
	clear(master) // the caller wipes its copy
	if _, err := s.For("y").Open("x", s.For("y").Seal("x", nil)); err != nil {
		t.Error(err)
	}
	if _, err := sealer(t).Open("x", sealed); err != nil {
		t.Error("the sealer kept the caller's slice")
	}
}

// LOG-02: printing a Sealer in any way shows nothing of the master key.
func TestSealerDoesNotPrint(t *testing.T) {
	master := bytes.Repeat([]byte("Canary01"), 4)
	s, err := keys.NewSealer(master)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		out := fmt.Sprintf(verb+" "+verb, s, *s)
		for _, secret := range []string{"Canary", "43616e617279", "67 97 110", "0x43, 0x61"} {
			if strings.Contains(out, secret) {
				t.Errorf("%s prints the master key: %s", verb, out)
			}
		}
	}
}

func TestNewMaster(t *testing.T) {
	a, b := keys.NewMaster(), keys.NewMaster()
	if len(a) != 32 || bytes.Equal(a, b) || bytes.Equal(a, make([]byte, 32)) {
		t.Errorf("NewMaster gave %d bytes, twice the same: %t", len(a), bytes.Equal(a, b))
	}
}

func TestParseMaster(t *testing.T) {
	// All bits set in places, so that both alphabets differ: it has + and / in base64.
	master, err := hex.DecodeString("fbefbefbefbefffffffffbefbe000102030405060708090a0b0c0d0e0f101112")
	if err != nil {
		t.Fatal(err)
	}
	std := base64.StdEncoding.EncodeToString(master)
	if !strings.Contains(std, "+") || !strings.Contains(std, "/") {
		t.Fatalf("%s does not tell the alphabets apart", std)
	}
	for name, text := range map[string]string{
		"std padded":       std,
		"std":              base64.RawStdEncoding.EncodeToString(master),
		"url padded":       base64.URLEncoding.EncodeToString(master),
		"url":              base64.RawURLEncoding.EncodeToString(master),
		"hex":              hex.EncodeToString(master),
		"upper hex":        strings.ToUpper(hex.EncodeToString(master)),
		"from a file":      std + "\n",
		"from a Windows":   std + "\r\n",
		"spaces around it": "  " + hex.EncodeToString(master) + "\t",
	} {
		if got, err := keys.ParseMaster(text); err != nil || !bytes.Equal(got, master) {
			t.Errorf("%s: ParseMaster = %x, %v", name, got, err)
		}
	}

	for name, test := range map[string]struct{ text, says string }{
		"empty":              {"", "empty"},
		"blank":              {" \n", "empty"},
		"too short":          {base64.StdEncoding.EncodeToString(master[:31]), "is 31 bytes, must be 32"},
		"shorter":            {base64.StdEncoding.EncodeToString(master[:16]), "24 characters"},
		"too long":           {base64.StdEncoding.EncodeToString(append(master, 0)), "is 33 bytes, must be 32"},
		"longer":             {strings.Repeat("A", 1<<20), "1048576 characters"},
		"48 bytes of base64": {strings.Repeat("A+", 32), "not all hex"},
		"short hex":          {hex.EncodeToString(master[:31]), "62 characters"},
		"mixed alphabets":    {strings.Repeat("A", 40) + "+-A", "not base64"},
		"last bits set":      {strings.Repeat("A", 42) + "B", "not base64"},
		"no base64":          {strings.Repeat("A", 42) + "!", "not base64"},
		"line break inside":  {std[:20] + "\n" + std[20:43], "line break"},
		"padding in front":   {"=" + std[:43], "not base64"},
		"32 plain letters":   {strings.Repeat("p", 32), "32 characters"},
	} {
		got, err := keys.ParseMaster(test.text)
		if err == nil || got != nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: ParseMaster = %x, %v; want an error that says %q", name, got, err, test.says)
		}
		if err != nil && len(test.text) > 20 && strings.Contains(err.Error(), test.text[:20]) {
			t.Errorf("%s: the error repeats the key: %v", name, err)
		}
	}
}

func FuzzParseMaster(f *testing.F) {
	master := counting()
	f.Add(base64.StdEncoding.EncodeToString(master))
	f.Add(base64.RawURLEncoding.EncodeToString(master))
	f.Add(hex.EncodeToString(master) + "\n")
	f.Add("")
	f.Add("====")
	f.Add(strings.Repeat("A", 42) + "B")
	f.Add(strings.Repeat("\n", 43) + "A")
	f.Fuzz(func(t *testing.T, text string) {
		master, err := keys.ParseMaster(text)
		if err != nil {
			if master != nil {
				t.Error("a key and an error")
			}
			return
		}
		if _, err := keys.NewSealer(master); err != nil {
			t.Errorf("ParseMaster(%q) gave what NewSealer refuses: %v", text, err)
		}
		trimmed := strings.TrimSpace(text)
		for _, spelling := range []string{
			base64.StdEncoding.EncodeToString(master), base64.RawStdEncoding.EncodeToString(master),
			base64.URLEncoding.EncodeToString(master), base64.RawURLEncoding.EncodeToString(master),
			hex.EncodeToString(master),
		} {
			if trimmed == spelling || strings.EqualFold(trimmed, spelling) && len(trimmed) == 64 {
				return
			}
		}
		t.Errorf("%q was taken but is no spelling of %x", text, master)
	})
}

func FuzzOpen(f *testing.F) {
	s := sealer(f)
	// Sealed once and for all: every process that fuzzes must know the one value that opens.
	const aad = "aad"
	real, err := hex.DecodeString(sealedAtRest)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(aad, real)
	f.Add("", real)
	f.Add(aad, real[:13])
	f.Add(aad, []byte{})
	f.Add(aad, []byte{1})
	f.Add(aad, make([]byte, 29))
	f.Fuzz(func(t *testing.T, with string, sealed []byte) {
		plain, err := s.Open(with, sealed)
		if with == aad && bytes.Equal(sealed, real) {
			if err != nil || string(plain) != "plain" {
				t.Errorf("Open of what was sealed = %q, %v", plain, err)
			}
			return
		}
		if !errors.Is(err, keys.ErrSealed) || plain != nil {
			t.Errorf("Open(%q, %x) = %q, %v", with, sealed, plain, err)
		}
	})
}
