package people

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"

	"github.com/lanyard-sso/lanyard/idp/store"
)

// What a password of ours costs: argon2id with 19 MiB, two passes, one lane (OWASP Password Storage).
const (
	memory = 19 << 10 // KiB
	passes = 2
	lanes  = 1
	keyLen = 32
)

// Lengths of a password: in characters at least, in bytes at most.
const (
	minPassword = 8
	maxPassword = 1024
)

// Hash returns password in PHC form. It waits for a free core: at most one hash is made on each.
func (p *People) Hash(ctx context.Context, password string) (string, error) {
	release, err := p.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	return hashed(password), nil
}

func hashed(password string) string {
	salt := make([]byte, 16)
	rand.Read(salt) // never fails
	key := argon2.IDKey([]byte(password), salt, passes, memory, lanes, keyLen)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, memory, passes, lanes, b64.EncodeToString(salt), b64.EncodeToString(key))
}

// nobody is what the password of somebody who has none, or does not exist, is compared with: the same work, and no.
const nobody = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// Check compares password with phc. An empty phc (nobody, or somebody without a password) takes the same time and is
// never right. rehash is the password hashed anew where phc is of another kind or weaker than ours; the caller stores it.
func (p *People) Check(ctx context.Context, phc, password string) (ok bool, rehash string, err error) {
	if len(password) > maxPassword {
		return false, "", nil
	}
	release, err := p.slot(ctx)
	if err != nil {
		return false, "", err
	}
	defer release()
	known := phc != ""
	if !known {
		phc = nobody
	}
	v, err := parse(phc)
	if err != nil {
		return false, "", fmt.Errorf("the stored password can not be read: %w", err)
	}
	ok = v.check([]byte(password)) && known
	if !v.ours {
		// Right or wrong: a hash that is compared faster than ours must not tell by that whose user exists.
		rehash = hashed(password)
	}
	if !ok {
		rehash = ""
	}
	return ok, rehash, nil
}

// waiting is how many may wait for each core: about five seconds. Those above are told to come again.
const waiting = 64

func (p *People) slot(ctx context.Context) (release func(), err error) {
	if p.wait.Add(1) > int64(waiting*cap(p.slots)) {
		p.wait.Add(-1)
		return nil, store.ErrBusy
	}
	defer p.wait.Add(-1)
	select {
	case p.slots <- struct{}{}:
		return func() { <-p.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Import checks that a declared hash is of a kind that can be compared with, at a cost that a sign-in can bear.
func Import(phc string) error {
	_, err := parse(phc)
	return err
}

// verifier compares a password with one stored hash.
type verifier struct {
	check func(password []byte) bool
	ours  bool // of our kind and at least our cost
}

var errKind = errors.New("a password hash must be argon2id, bcrypt, scrypt or PBKDF2 in PHC form ($argon2id$…, $2b$…, $scrypt$…, $pbkdf2-sha256$…), or {SSHA}")

// parse reads a stored hash. Costs have ceilings: a hash somebody brings along must not be able to burn the machine.
func parse(phc string) (verifier, error) {
	if len(phc) > 1024 {
		return verifier{}, errKind
	}
	switch kind := strings.SplitN(phc, "$", 3); {
	case strings.HasPrefix(phc, "{SSHA}"):
		return parseSSHA(strings.TrimPrefix(phc, "{SSHA}"))
	case len(kind) < 3 || kind[0] != "":
		return verifier{}, errKind
	case kind[1] == "argon2id":
		return parseArgon2(phc)
	case kind[1] == "2a", kind[1] == "2b", kind[1] == "2y":
		return parseBcrypt(phc)
	case kind[1] == "scrypt":
		return parseScrypt(phc)
	case strings.HasPrefix(kind[1], "pbkdf2"):
		return parsePBKDF2(kind[1], kind[2])
	}
	return verifier{}, errKind
}

func parseArgon2(phc string) (verifier, error) {
	f := strings.Split(phc, "$") // "" argon2id v=19 m=,t=,p= salt key
	if len(f) != 6 || f[2] != "v=19" {
		return verifier{}, errKind
	}
	n, err := numbers(f[3], "m", "t", "p")
	if err != nil {
		return verifier{}, err
	}
	m, t, l := n[0], n[1], n[2]
	if l < 1 || l > 16 || m < 8*l || m > 256<<10 || t < 1 || t > 64 || m*t > 512<<10 {
		return verifier{}, errors.New("the argon2id cost is out of range (at most 16 lanes, 256 MiB, and 512 MiB over all passes)")
	}
	salt, key, err := saltAndKey(f[4], f[5])
	if err != nil {
		return verifier{}, err
	}
	return verifier{
		check: func(pw []byte) bool {
			return equal(argon2.IDKey(pw, salt, uint32(t), uint32(m), uint8(l), uint32(len(key))), key)
		},
		ours: m >= memory && t >= passes && len(key) >= keyLen,
	}, nil
}

func parseBcrypt(phc string) (verifier, error) {
	cost, err := bcrypt.Cost([]byte(phc))
	if err != nil || cost > 14 || len(phc) != 60 || strings.Trim(phc[7:], "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
		return verifier{}, errors.New("the bcrypt hash can not be read, or costs more than 14")
	}
	return verifier{check: func(pw []byte) bool {
		// bcrypt sees 72 bytes, and reads a password up to a NUL over and over: other passwords would be right too. Who has
		// such a one needs a new one.
		if len(pw) > 72 || bytes.IndexByte(pw, 0) >= 0 {
			return false
		}
		return bcrypt.CompareHashAndPassword([]byte(phc), pw) == nil
	}}, nil
}

func parseScrypt(phc string) (verifier, error) {
	f := strings.Split(phc, "$") // "" scrypt ln=,r=,p= salt key
	if len(f) != 5 {
		return verifier{}, errKind
	}
	n, err := numbers(f[2], "ln", "r", "p")
	if err != nil {
		return verifier{}, err
	}
	if n[0] < 1 || n[0] > 18 || n[1] < 1 || n[1] > 16 || n[2] < 1 || n[2] > 4 || (1<<n[0])*n[1]*n[2] > 1<<21 {
		return verifier{}, errors.New("the scrypt cost is out of range (at most 256 MiB, once)")
	}
	salt, key, err := saltAndKey(f[3], f[4])
	if err != nil {
		return verifier{}, err
	}
	return verifier{check: func(pw []byte) bool {
		got, err := scrypt.Key(pw, salt, 1<<n[0], n[1], n[2], len(key))
		return err == nil && equal(got, key)
	}}, nil
}

// parsePBKDF2 reads $pbkdf2-sha256$ROUNDS$salt$key, with passlib's "." for "+", and i=ROUNDS as PHC writes it.
func parsePBKDF2(kind, rest string) (verifier, error) {
	var h func() hash.Hash
	switch kind {
	case "pbkdf2", "pbkdf2-sha1":
		h = sha1.New
	case "pbkdf2-sha256":
		h = sha256.New
	case "pbkdf2-sha512":
		h = sha512.New
	default:
		return verifier{}, errKind
	}
	f := strings.Split(rest, "$")
	if len(f) != 3 {
		return verifier{}, errKind
	}
	rounds, _, _ := strings.Cut(strings.TrimPrefix(f[0], "i="), ",")
	n, err := strconv.Atoi(rounds)
	if err != nil || n < 1 || n > 2_000_000 {
		return verifier{}, errors.New("the PBKDF2 rounds are out of range (at most 2,000,000)")
	}
	salt, key, err := saltAndKey(strings.ReplaceAll(f[1], ".", "+"), strings.ReplaceAll(f[2], ".", "+"))
	if err != nil {
		return verifier{}, err
	}
	return verifier{check: func(pw []byte) bool {
		got, err := pbkdf2.Key(h, string(pw), salt, n, len(key))
		return err == nil && equal(got, key)
	}}, nil
}

func parseSSHA(text string) (verifier, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) <= sha1.Size {
		return verifier{}, errors.New("the {SSHA} hash can not be read")
	}
	sum, salt := b[:sha1.Size], b[sha1.Size:]
	return verifier{check: func(pw []byte) bool {
		got := sha1.Sum(append(bytes.Clone(pw), salt...))
		return equal(got[:], sum)
	}}, nil
}

func numbers(text string, names ...string) ([]int, error) {
	f := strings.Split(text, ",")
	if len(f) != len(names) {
		return nil, errKind
	}
	out := make([]int, len(f))
	for i, name := range names {
		v, ok := strings.CutPrefix(f[i], name+"=")
		n, err := strconv.Atoi(v)
		if !ok || err != nil || n < 0 || n > 1<<30 {
			return nil, errKind
		}
		out[i] = n
	}
	return out, nil
}

func saltAndKey(s, k string) (salt, key []byte, err error) {
	b64 := base64.RawStdEncoding
	if salt, err = b64.DecodeString(strings.TrimRight(s, "=")); err == nil {
		key, err = b64.DecodeString(strings.TrimRight(k, "="))
	}
	if err != nil || len(salt) > 256 || len(key) < 16 || len(key) > 128 {
		return nil, nil, errors.New("the salt or the key of the password hash can not be read, or has an odd length")
	}
	return salt, key, nil
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
