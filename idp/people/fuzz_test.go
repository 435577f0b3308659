package people_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/people"
)

// FuzzCheck: a hash that may be imported can be compared with, soon enough, and whoever is right is given a hash of our own
// kind that is right too.
func FuzzCheck(f *testing.F) {
	const right = "correct horse"
	p := people.New(nil)
	own, err := p.Hash(f.Context(), right)
	if err != nil {
		f.Fatal(err)
	}
	hashes := []string{own, strings.Replace(own, "t=2", "t=3", 1), own[:len(own)-2], "$2b$04$abcdefghijklmnopqrstuuGiQaNcY9GdSXXJ4Nmh7Vb0VBAAaQ6S6", "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0$l8FVD/t/KXGGLtlP5e7pWrEq4eh9ExTe99gy9sd8MEQ",
		"$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0$DDp4Sn/sR2bL01czXLk6KmnlTPfeIK/eu9Zp40HEiIo", "$pbkdf2-sha256$1000$c2FsdHNhbHQ$l8FVD/t/KXGGLtlP5e7pWrEq4eh9ExTe99gy9sd8MEQ", "{SSHA}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
	for _, h := range hashes {
		f.Add(h, right)
		f.Add(h, "")
		f.Add(h, strings.Repeat("x", 5000))
	}
	if ok, _, err := p.Check(f.Context(), own, right); !ok || err != nil {
		f.Fatal(ok, err)
	}
	f.Fuzz(func(t *testing.T, hash, password string) {
		if hash == "" || people.Import(hash) != nil {
			return
		}
		began := time.Now()
		ok, rehash, err := p.Check(t.Context(), hash, password)
		if err != nil || rehash != "" && !ok || time.Since(began) > 5*time.Second {
			t.Fatalf("%q: %t, %q, %v, after %v", hash, ok, rehash, err, time.Since(began))
		}
		if hash == own && ok != (password == right) {
			t.Errorf("%q is right: %t", password, ok)
		}
		if rehash != "" {
			if again, more, err := p.Check(t.Context(), rehash, password); !again || more != "" || err != nil {
				t.Errorf("hashed anew, %q is %t, %q, %v", password, again, more, err)
			}
		}
	})
}
