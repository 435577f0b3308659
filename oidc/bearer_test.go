package oidc_test

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/oidc"
)

const secret = "abcdefghijklmnopqrstuvwxyz234567"

// OA-CD-05, OA-CD-06: whatever is done to a value, it is not that value any more, and no kind is another.
func TestBearer(t *testing.T) {
	value, hash := oidc.NewBearer("c_", "01jd0", secret)
	if value != "c_01jd0."+secret {
		t.Fatalf("value %q", value)
	}
	if want := sha256.Sum256([]byte(secret)); !bytes.Equal(hash, want[:]) {
		t.Error("the hash is not SHA-256 of the secret")
	}
	if !oidc.IsBearer("c_", value, hash) {
		t.Fatal("a good value is refused")
	}
	for name, bad := range map[string]string{
		"empty":             "",
		"no secret":         "c_01jd0",
		"no id":             "c_." + secret,
		"short secret":      "c_01jd0.abc",
		"last changed":      value[:len(value)-1] + "6",
		"extended":          value + "a",
		"padded":            value + "=",
		"upper case":        "c_01jd0." + strings.ToUpper(secret),
		"first upper":       "C_01jd0." + secret,
		"space in front":    " " + value,
		"newline behind":    value + "\n",
		"NUL behind":        value + "\x00",
		"percent":           "c_01jd0.%61" + secret[1:],
		"not ASCII":         "c_01jd0.ä" + secret,
		"dot more":          "c_01jd0.x." + secret,
		"long":              "c_01jd0." + strings.Repeat("a", 600),
		"long id":           "c_" + strings.Repeat("a", 65) + "." + secret,
		"another kind":      "r_01jd0." + secret,
		"no kind":           "01jd0." + secret,
		"an access token":   "c!01jd0." + secret,
		"quote in the id":   "c_01'd0." + secret,
		"slash in the id":   "c_0/jd0." + secret,
		"truncated by one":  value[:len(value)-1],
		"truncated by four": value[:len(value)-4],
		"truncated by 8":    value[:len(value)-8],
	} {
		if oidc.IsBearer("c_", bad, hash) {
			t.Errorf("OA-CD-05: %s: %q is taken", name, bad)
		}
	}
	if oidc.IsBearer("c_", value, nil) {
		t.Error("a row without a hash takes a value")
	}
	for _, a := range oidc.Fronts {
		for _, b := range oidc.Fronts {
			value, hash := oidc.NewBearer(a, "01jd0", secret)
			if got := oidc.IsBearer(b, value, hash); got != (a == b) {
				t.Errorf("OA-CD-06: %q taken as %q: %t", value, b, got)
			}
		}
	}
}

func TestRefreshToken(t *testing.T) {
	const family, first, second = "familyfamilyfamilyfamily", "stepstepstepstepstepstep", "nextnextnextnextnextnext"
	one, g := oidc.NewRefresh("01jd0", family, first)
	two, after := oidc.NewRefresh("01jd0", family, second)
	if ever, now := oidc.OfGrant(one, g); !ever || !now {
		t.Fatal("a good token is refused")
	}
	g.Hash = after.Hash // rotated
	if ever, now := oidc.OfGrant(one, g); !ever || now {
		t.Errorf("OA-RT-01: an older generation: once %t, now %t", ever, now)
	}
	if ever, now := oidc.OfGrant(two, g); !ever || !now {
		t.Error("the successor is refused")
	}
	other, _ := oidc.NewRefresh("01jd0", "anotheranotheranother", first)
	moved, _ := oidc.NewRefresh("01jd1", family, first)
	for name, bad := range map[string]string{
		"last changed":  one[:len(one)-1] + "~",
		"mark changed":  one[:len(one)-2] + string(one[len(one)-2]^1) + one[len(one)-1:],
		"step changed":  strings.Replace(one, first, strings.Replace(first, "step", "stop", 1), 1),
		"other family":  other,
		"other grant":   strings.Replace(moved, "01jd1", "01jd0", 1),
		"without mark":  one[:strings.LastIndex(one, "~")],
		"extended":      one + "~a",
		"no such parts": "r_01jd0." + secret,
	} {
		if ever, _ := oidc.OfGrant(bad, g); ever {
			t.Errorf("%s: %q would end the grant", name, bad)
		}
	}
}

// A copy of the database opens nothing: only the token that was replaced shows its successor.
func TestSuccessorIsSealed(t *testing.T) {
	one, _ := oidc.NewRefresh("01jd0", "familyfamilyfamilyfamily", "stepstepstepstepstepstep")
	two, _ := oidc.NewRefresh("01jd0", "familyfamilyfamilyfamily", "nextnextnextnextnextnext")
	sealed, err := oidc.Sealed(one, two)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("nextnext")) {
		t.Error("the successor stands there in clear")
	}
	if got, err := oidc.Opened(one, sealed); err != nil || got != two {
		t.Errorf("opened %q, %v", got, err)
	}
	for name, other := range map[string]string{"the successor": two, "another grant": strings.Replace(one, "01jd0", "01jd1", 1)} {
		if _, err := oidc.Opened(other, sealed); err == nil {
			t.Errorf("%s opens it", name)
		}
	}
	sealed[len(sealed)-1] ^= 1
	if _, err := oidc.Opened(one, sealed); err == nil {
		t.Error("altered, it still opens")
	}
}

// FuzzBearer: what is taken apart can be put together again, to the byte, so no two texts are one value.
func FuzzBearer(f *testing.F) {
	for _, front := range oidc.Fronts {
		f.Add(front, front+"01jd0."+secret)
	}
	f.Add("c_", "c_01jd0."+secret+"=")
	f.Add("c_", "c_.")
	f.Add("r_", "r_a.b~c~d")
	f.Fuzz(func(t *testing.T, front, value string) {
		id, secret, ok := oidc.ReadBearer(front, value)
		if ok && front+id+"."+secret != value {
			t.Errorf("%q was read as %q and %q", value, id, secret)
		}
		if ok && (len(id) > 64 || len(secret) < 22 || strings.ContainsAny(value[len(front):], " \x00\r\n%=/+")) {
			t.Errorf("%q was taken", value)
		}
		if front == "r_" {
			oidc.OfGrant(value, &oidc.Grant{})
		}
	})
}
