package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	masterSize = 32 // bytes of a master key
	sealedV1   = 1  // the first byte of everything sealed here, so that the format can change
)

// ErrSealed is the one error of Sealer.Open: whether the master key is another one, the
// value belongs to another row, or it was cut or altered is not told apart.
var ErrSealed = errors.New("keys: cannot open a sealed value: it was sealed with another master key or for another place, or altered")

// NewMaster returns a new master key: 32 random bytes.
func NewMaster() []byte {
	master := make([]byte, masterSize)
	_, _ = rand.Read(master) // never fails: crypto/rand ends the process instead
	return master
}

// ParseMaster reads a master key as people write it down (LANYARD_MASTER_KEY): 32 bytes in
// base64, standard or URL alphabet, padded or not, or in hex. White space around it is
// ignored, as a file usually ends in a newline. No error repeats any part of text.
func ParseMaster(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	var master []byte
	var err error
	switch len(text) {
	case 0:
		return nil, errors.New("keys: the master key is empty")
	case hex.EncodedLen(masterSize):
		if master, err = hex.DecodeString(text); err != nil {
			return nil, errors.New("keys: the master key has 64 characters, but they are not all hex digits")
		}
	case base64.RawStdEncoding.EncodedLen(masterSize), base64.StdEncoding.EncodedLen(masterSize):
		// encoding/base64 skips line breaks inside; a key in two lines is a mistake.
		if strings.ContainsAny(text, "\r\n") {
			return nil, errors.New("keys: the master key has a line break inside")
		}
		encoding := base64.RawStdEncoding
		if strings.ContainsAny(text, "-_") {
			encoding = base64.RawURLEncoding
		}
		if len(text) == base64.StdEncoding.EncodedLen(masterSize) {
			encoding = encoding.WithPadding(base64.StdPadding)
		}
		// Strict: one key has one spelling an alphabet; a changed last character is noticed.
		if master, err = encoding.Strict().DecodeString(text); err != nil {
			return nil, errors.New("keys: the master key is not base64 of 32 bytes")
		}
	default:
		return nil, fmt.Errorf("keys: the master key has %d characters; 32 bytes are 43 or 44 characters of base64, or 64 of hex", len(text))
	}
	if len(master) != masterSize {
		return nil, fmt.Errorf("keys: the master key is %d bytes, must be %d", len(master), masterSize)
	}
	return master, nil
}

// Sealer seals and opens secrets with a key derived from the master key. It is safe for
// concurrent use. What it holds is not reachable by printing it.
type Sealer struct {
	aead   cipher.AEAD
	derive func(purpose string) (cipher.AEAD, error)
}

// NewSealer returns a Sealer over a master key of exactly 32 bytes, which it does not keep.
func NewSealer(master []byte) (*Sealer, error) {
	if len(master) != masterSize {
		return nil, fmt.Errorf("keys: the master key is %d bytes, must be %d", len(master), masterSize)
	}
	prk, err := hkdf.Extract(sha256.New, master, nil)
	if err != nil {
		return nil, fmt.Errorf("keys: deriving from the master key: %w", err)
	}
	derive := func(purpose string) (cipher.AEAD, error) {
		key, err := hkdf.Expand(sha256.New, prk, "lanyard sealed v1 "+purpose, 32)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, err
		}
		return cipher.NewGCMWithRandomNonce(block)
	}
	aead, err := derive("at rest")
	if err != nil {
		return nil, fmt.Errorf("keys: deriving from the master key: %w", err)
	}
	return &Sealer{aead: aead, derive: derive}, nil
}

// For returns a Sealer with a key of its own for one purpose, derived from the same master
// key. What one seals the other cannot open. Whatever is sealed often (a URL parameter)
// belongs under a purpose of its own: with random nonces a key is good for 2^32 values
// (NIST SP 800-38D §8.3), and those at rest must not be used up by it.
func (s *Sealer) For(purpose string) *Sealer {
	aead, err := s.derive("for " + purpose)
	if err != nil {
		panic(err) // the same derivation of fixed sizes worked in NewSealer
	}
	return &Sealer{aead: aead, derive: s.derive}
}

// Seal encrypts plain. aad is the identity of the place the result is kept in (table, org,
// id): the same must be given to Open, so a sealed value moved to another row stays shut.
func (s *Sealer) Seal(aad string, plain []byte) []byte {
	return s.aead.Seal([]byte{sealedV1}, nil, plain, associated(aad))
}

// Open returns what Seal sealed under the same aad. The only error is ErrSealed.
func (s *Sealer) Open(aad string, sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != sealedV1 {
		return nil, ErrSealed
	}
	plain, err := s.aead.Open(nil, nil, sealed[1:], associated(aad))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

// associated binds the version too, so that no later format can be passed off as this one.
func associated(aad string) []byte {
	return append([]byte{sealedV1}, aad...)
}
