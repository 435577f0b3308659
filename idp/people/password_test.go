package people_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
)

// AUTH-05: a password is compared as it is, all of it.
func TestPasswordIsExact(t *testing.T) {
	p := people.New(nil)
	long := strings.Repeat("a", 100)
	for _, c := range []struct{ name, password, not string }{
		{"73rd byte", long[:72] + "b", long[:72] + "c"},
		{"last of 1024 bytes", strings.Repeat("x", 1023) + "b", strings.Repeat("x", 1023) + "c"},
		{"NUL inside", "before\x00after", "before\x00other"},
		{"NUL cuts nothing", "password\x00x", "password"},
		{"space behind", "correct horse ", "correct horse"},
		{"NFC and NFD", "café latte", "cafe\u0301 latte"},
		{"emoji", "👩‍💻👩‍💻 at work", "👩👩 at work"},
		{"case", "Correct Horse", "correct horse"},
		{"64 characters", strings.Repeat("ab", 32), strings.Repeat("ab", 31)},
	} {
		phc, err := p.Hash(t.Context(), c.password)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(phc, "$argon2id$v=19$m=19456,t=2,p=1$") {
			t.Errorf("hash %s", phc)
		}
		if ok, rehash, err := p.Check(t.Context(), phc, c.password); !ok || rehash != "" || err != nil {
			t.Errorf("%s: %t %q %v", c.name, ok, rehash, err)
		}
		if ok, _, err := p.Check(t.Context(), phc, c.not); ok || err != nil {
			t.Errorf("%s: another password is right, %v", c.name, err)
		}
	}
	a, _ := p.Hash(t.Context(), "the same")
	if b, _ := p.Hash(t.Context(), "the same"); a == b {
		t.Error("two hashes of one password are the same")
	}
	if ok, _, err := p.Check(t.Context(), a, strings.Repeat("x", 4097)); ok || err != nil {
		t.Errorf("4097 bytes: %t %v", ok, err)
	}
}

// SEC-08: hashes made elsewhere are compared as they were made and made anew at the first sign-in.
func TestImported(t *testing.T) {
	p := people.New(nil)
	weak, err := bcrypt.GenerateFromPassword([]byte("correct horse"), 4)
	if err != nil {
		t.Fatal(err)
	}
	const umlauts = "Zürich grüßt 42 Möwen"
	for _, c := range []struct{ name, hash, password string }{
		{"argon2id of less memory", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
		{"bcrypt", string(weak), "correct horse"},
		{"bcrypt of PHP", strings.Replace(string(weak), "$2a$", "$2y$", 1), "correct horse"},
		{"scrypt", "$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0$E7/5hFKyIa/qZwRipZ2wJ8zG6C7W2+ArzZNltex+xis", "correct horse"},
		{"PBKDF2 of passlib", "$pbkdf2-sha256$1000$c2FsdHNhbHRzYWx0$F7o7.5VTVzFAO998X6s3AHrDsJVdMiIlgndIMe19NvY", "correct horse"},
		{"PBKDF2 as PHC", "$pbkdf2-sha512$i=1000,l=32$c2FsdHNhbHRzYWx0$oSKce4SGrSKsJabCWZfpe2MmVOPtl4paOjoD1njLdjo", "correct horse"},
		{"PBKDF2 of SHA-1", "$pbkdf2$1000$c2FsdHNhbHRzYWx0$JfNU29qvQkW1UgahO6OQ0oP6O0I", "correct horse"},
		// Made by others: passlib 1.7.4, bcrypt 5.0.0 and argon2-cffi 25.1.0 of Python, and openssl 3 kdf and dgst.
		{"argon2id of argon2-cffi, two lanes", "$argon2id$v=19$m=64,t=1,p=2$5FLO2v45kH/CEPtY4cvxAQ$YnXMJM946vnZwsHXQGNJevovFIAjQCIkrD6F6KdIjAw", umlauts},
		{"bcrypt of Python", "$2b$04$odx9CKL2BzV3eafzDdD1w.rUITU0y2KZBtJx0hLDxgcTSpYMYR.8q", umlauts},
		{"old bcrypt of Python", "$2a$04$fJp5BIaoRSjUe54h6zeVNeOkUiuzTEJZ8dhvVGUtoYChE..T8tK0S", umlauts},
		{"scrypt of passlib", "$scrypt$ln=4,r=8,p=1$obS2di7l3DvH+J/zHsM45w$eLv9jOH2Y4lokj0FnGn9vnnsfJtU6gckEdke/wWIHYQ", umlauts},
		{"scrypt of openssl", "$scrypt$ln=10,r=8,p=1$c2FsdC1vZi0xNi1ieXRlcw$URKf1TLrr8X6WOotbiAZD32Sy7Xn99iXu8kGjQtieVk", umlauts},
		{"PBKDF2 with SHA-256 of passlib", "$pbkdf2-sha256$1000$xVhLSUmJ8b7XWgthzJnzng$d0lufG9S4H88pOy.KWFbf7q007XKmykUu.v3.bUFZ5o", umlauts},
		{"PBKDF2 with SHA-512 of passlib", "$pbkdf2-sha512$1000$Q2htLeVcCwGAkNIao/S.Fw$u1oVJVCr2voC.rPLOq8GzU0oLj0jLR4ORVw8KG37DLNpxmtmQ5JRuDXksprD1FlliQIRhyudeRwpOQMZrUvKSA", umlauts},
		{"PBKDF2 with SHA-1 of passlib", "$pbkdf2$1000$4Lw3Zsx5772X8v4/x5gTIg$PuuVs6N4WaSUqa1TKnVxC7S7h2s", umlauts},
		{"PBKDF2 of openssl", "$pbkdf2-sha256$i=1000$c2FsdC1vZi0xNi1ieXRlcw$ACE1/hhLLkRtT/UvfhznxO6jVZJ8z1vRF1he0Hm2Ftk", umlauts},
		{"SSHA of passlib", "{SSHA}oMydYGY32fUZUt1dXZVfUgoVAtwXwphz", umlauts},
		{"SSHA of openssl, a long salt", "{SSHA}RvpFYnupsNA+sclU3asGK0QTzjxzYWx0LW9mLTE2LWJ5dGVz", umlauts},
		{"SSHA", "{SSHA}LhKrkM9Fy+zlstjdD7Kv2s6QvhBzYWx0", "correct horse"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := people.Import(c.hash); err != nil {
				t.Fatal(err)
			}
			if ok, _, err := p.Check(t.Context(), c.hash, c.password+"x"); ok || err != nil {
				t.Errorf("another password: %t, %v", ok, err)
			}
			ok, rehash, err := p.Check(t.Context(), c.hash, c.password)
			if !ok || err != nil {
				t.Fatalf("the password: %t, %v", ok, err)
			}
			if ok, again, err := p.Check(t.Context(), rehash, c.password); !ok || again != "" || err != nil {
				t.Errorf("hashed anew: %t %q %v", ok, again, err)
			}
		})
	}
	// So does one that another software made as we would.
	const alike = "$argon2id$v=19$m=19456,t=2,p=1$xKMo9RCX3ue6AxX6twB88w$juyIZ1JX1ufHbK/sOT+yLMI01C52RmqQcJTky2ra+SI"
	if ok, rehash, err := p.Check(t.Context(), alike, umlauts); !ok || rehash != "" || err != nil {
		t.Errorf("argon2id like ours: %t %q %v", ok, rehash, err)
	}
	// A hash that costs more than ours stays.
	const strong = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if ok, rehash, err := p.Check(t.Context(), strong, "password"); !ok || rehash != "" || err != nil {
		t.Errorf("argon2id of more memory: %t %q %v", ok, rehash, err)
	}
	// bcrypt takes other passwords for the same, which exact comparison does not.
	for _, c := range []struct{ name, made, shown string }{
		{"73rd byte", strings.Repeat("a", 72), strings.Repeat("a", 73)},
		{"over and over", "abc", "abc\x00abc"},
	} {
		h, err := bcrypt.GenerateFromPassword([]byte(c.made), 4)
		if err != nil {
			t.Fatal(err)
		}
		if ok, _, err := p.Check(t.Context(), string(h), c.shown); ok || err != nil {
			t.Errorf("bcrypt, %s: %t, %v", c.name, ok, err)
		}
	}
}

// A hash that somebody brings along can neither burn the machine nor be no hash at all.
func TestImportRefuses(t *testing.T) {
	const salt, key = "$c2FsdHNhbHRzYWx0", "$l8FVD/t/KXGGLtlP5e7pWrEq4eh9ExTe99gy9sd8MEQ"
	for _, bad := range []string{
		"", "password", "$1$salt$qJH7.N4xYta3aEG/dfqo/0", "{MD5}X03MO1qnZdYdgyfeuILPmQ==", "{CLEAR}password", "5f4dcc3b5aa765d61d8327deb882cf99",
		"$argon2i$v=19$m=19456,t=2,p=1" + salt + key, "$argon2id$v=16$m=19456,t=2,p=1" + salt + key, "$argon2id$m=19456,t=2,p=1" + salt + key,
		"$argon2id$v=19$m=4194304,t=1,p=1" + salt + key, "$argon2id$v=19$m=262144,t=3,p=1" + salt + key, "$argon2id$v=19$m=64,t=1000000,p=1" + salt + key,
		"$argon2id$v=19$m=19456,t=0,p=1" + salt + key, "$argon2id$v=19$m=19456,t=2,p=0" + salt + key, "$argon2id$v=19$m=19456,t=2,p=255" + salt + key,
		"$argon2id$v=19$m=-1,t=2,p=1" + salt + key, "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$c2hvcnQ", "$argon2id$v=19$m=19456,t=2,p=1$!$!",
		"$argon2id$v=19$m=19456,p=1,t=2" + salt + key, "$argon2id$v=19$m=19456,t=2,p=1" + salt, "$argon2id$v=19$m=19456,t=2,p=1" + salt + key + "$x",
		"$2a$31$abcdefghijklmnopqrstuuN7W4YCVvZ6KRp8W0uY8gY5m3yGv0F4y", "$2a$15$abcdefghijklmnopqrstuuN7W4YCVvZ6KRp8W0uY8gY5m3yGv0F4y", "$2b$10$short",
		"$2b$04$odx9CKL2BzV3eafzDdD1w.rUITU0y2KZBtJx0hLDxgcTSpYMYR.8", "$2b$04$odx9CKL2BzV3eafzDdD1w.rUITU0y2KZBtJx0hLDxgcTSpYMYR.8qq",
		"$2b$04$odx9CKL2BzV3eafzDdD1w.rUITU0y2KZBtJx0hLDxgcTSpYMYR.8$", "$2x$04$odx9CKL2BzV3eafzDdD1w.rUITU0y2KZBtJx0hLDxgcTSpYMYR.8q",
		"$scrypt$ln=30,r=8,p=1" + salt + key, "$scrypt$ln=18,r=8,p=2" + salt + key, "$scrypt$ln=0,r=8,p=1" + salt + key, "$scrypt$16,8,1" + salt + key,
		"$pbkdf2-sha256$2000001" + salt + key, "$pbkdf2-sha256$0" + salt + key, "$pbkdf2-sha256$x" + salt + key, "$pbkdf2-md5$1000" + salt + key,
		"{SSHA}", "{SSHA}!", "{SSHA}" + "W6ph5Mm5Pz8GgiULbPgzG37mj9g=", // without a salt
		"$argon2id$v=19$m=19456,t=2,p=1$" + strings.Repeat("A", 2000) + key,
	} {
		began := time.Now()
		if err := people.Import(bad); err == nil {
			t.Errorf("%.60q is taken", bad)
		}
		if time.Since(began) > 100*time.Millisecond {
			t.Errorf("%.60q: refused after %v", bad, time.Since(began))
		}
	}
}

// Somebody who does not exist costs what somebody who does costs.
func TestUnknownUserCostsTheSame(t *testing.T) {
	p := people.New(nil)
	phc, err := p.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	fastest := func(hash string) time.Duration {
		best := time.Hour
		for range 7 {
			began := time.Now()
			if ok, rehash, err := p.Check(t.Context(), hash, "wrong horse"); ok || rehash != "" || err != nil {
				t.Fatalf("%q: %t %q %v", hash, ok, rehash, err)
			}
			best = min(best, time.Since(began))
		}
		return best
	}
	known, unknown := fastest(phc), fastest("")
	if unknown < known/2 || unknown > known*2 {
		t.Errorf("a known user takes %v, an unknown one %v", known, unknown)
	}
	// Whatever the fixed hash for nobody is, nobody's password is right.
	for _, s := range []string{"", "\x00", "AAAAAAAA"} {
		if ok, _, _ := p.Check(t.Context(), "", s); ok {
			t.Errorf("nobody signs in with %q", s)
		}
	}
}

// AUTH-01: nor does an imported hash that is compared in no time tell that its user exists.
func TestCheapHashCostsTheSame(t *testing.T) {
	p := people.New(nil)
	for _, hash := range []string{
		"", "{SSHA}oMydYGY32fUZUt1dXZVfUgoVAtwXwphz", "$pbkdf2$1$4Lw3Zsx5772X8v4/x5gTIg$PuuVs6N4WaSUqa1TKnVxC7S7h2s",
		"$2b$04$odx9CKL2BzV3eafzDdD1w.rUITU0y2KZBtJx0hLDxgcTSpYMYR.8q", "$argon2id$v=19$m=64,t=1,p=2$5FLO2v45kH/CEPtY4cvxAQ$YnXMJM946vnZwsHXQGNJevovFIAjQCIkrD6F6KdIjAw",
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if ok, rehash, err := p.Check(t.Context(), hash, "wrong wrong"); ok || rehash != "" || err != nil {
			t.Errorf("%.10s: %t %q %v", hash, ok, rehash, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n < 19<<20 { // what a hash of ours takes
			t.Errorf("%.10s: %d bytes", hash, n)
		}
	}
}

// One hash a core; a crowd waits, a flood is told to come again, and who leaves waits no more.
func TestHashingIsBounded(t *testing.T) {
	p := people.New(nil)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	for range 64*runtime.GOMAXPROCS(0) + 200 {
		wait.Go(func() {
			_, _, err := p.Check(ctx, "", "password")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				count["done"]++
			case errors.Is(err, store.ErrBusy):
				count["busy"]++
			case errors.Is(err, context.Canceled):
				count["left"]++
			default:
				t.Error(err)
			}
		})
	}
	time.Sleep(300 * time.Millisecond)
	cancel()
	wait.Wait()
	if count["busy"] == 0 || count["left"] == 0 {
		t.Errorf("%v", count)
	}
	if ok, _, err := p.Check(t.Context(), "", "password"); ok || err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func FuzzImport(f *testing.F) {
	for _, s := range []string{
		"", "$", "$$", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$l8FVD/t/KXGGLtlP5e7pWrEq4eh9ExTe99gy9sd8MEQ", "$2a$04$x",
		"$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0$DDp4Sn/sR2bL01czXLk6KmnlTPfeIK/eu9Zp40HEiIo", "$pbkdf2-sha256$1000$c2FsdA$l8FVD/t/KXGGLtlP5e7pWg", "{SSHA}AAAA",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, hash string) {
		began := time.Now()
		err := people.Import(hash)
		if time.Since(began) > time.Second {
			t.Errorf("%q took %v", hash, time.Since(began))
		}
		if err == nil && (hash == "" || len(hash) > 1024) {
			t.Errorf("%q is a hash", hash)
		}
		if err != nil && len(hash) > 20 && strings.Contains(err.Error(), hash) {
			t.Errorf("an error repeats the hash: %v", err)
		}
	})
}
