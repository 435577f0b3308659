package storetest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/keys"
)

// Large says how much there shall be in a large store, and of what. The product itself makes one of each kind, the mould;
// [Fill] copies its rows, whatever columns they have, under ids, names and secrets that can be told from a number. Of
// sessions, browsers and participants there are 3 for 10 users, of consents 1 for each, of events 3, and 2 living access
// tokens for 10 grants.
type Large struct {
	Users, Apps, Grants int

	Org    string // id
	Person string // username of a user that has a session, with an email and a password that all copies have too

	// Apps, by turns: those of SAML, the client that has a grant with a refresh token for Person, and the client that has
	// one from acting by itself.
	SAML            []Mould
	Client, Machine Mould
	Secret          string // of both clients and all copies
	Now             time.Time
}

// Mould is an app that is copied. In each copy Word, wherever it stands in what the app is, is followed by a number.
type Mould struct{ APIName, Word string }

// Kinds of ids and secrets.
const (
	kindUser    = 'u'
	kindApp     = 'a'
	kindSession = 's'
	kindGrant   = 'g'
	kindToken   = 't'
	kindEvent   = 'e'
)

// Sessions is how many sessions there are.
func (l *Large) Sessions() int { return l.Users * 3 / 10 }

// A grant of ten is a machine's, and the one before it a person's that has an access token; all others wait for a refresh.
const (
	machineOfTen = 9
	tokenOfTen   = 8
)

// HasToken tells if grant g has a living access token.
func (l *Large) HasToken(g int) bool { return g%10 >= tokenOfTen }

// IsMachine tells if grant g is one of a client that acts by itself; such a one has no refresh token.
func (l *Large) IsMachine(g int) bool { return g%10 == machineOfTen }

func (l *Large) moulds() []Mould { return append(append([]Mould{}, l.SAML...), l.Client, l.Machine) }

// Like is text, in which the word of mould m stands, for the nth copy of that app.
func (l *Large) Like(m Mould, n int, text string) string {
	return strings.ReplaceAll(text, m.Word, fmt.Sprintf("%s-%06d", m.Word, n))
}

// Of is how many copies there are of the app that is the mould of that number: those of SAML, then Client, then Machine.
func (l *Large) Of(mould int) int {
	all := len(l.SAML) + 2
	return (l.Apps - mould + all - 1) / all
}

// Username is that of user i.
func (l *Large) Username(i int) string { return fmt.Sprintf("p%016x", scatter(i)) }

// Session is the value of the cookie of session i.
func (l *Large) Session(i int) string { return bearer(l.id(kindSession, i)) }

// ClientOf is the number of the app, among the copies of its mould, that grant g was given.
func (l *Large) ClientOf(g int) int {
	mould := len(l.SAML)
	if l.IsMachine(g) {
		mould++
	}
	return int(scatter(g) >> 20 % uint64(l.Of(mould)))
}

// AccessToken is that of grant g, which has one.
func (l *Large) AccessToken(g int) string {
	return l.Org + "!" + bearer(l.id(kindToken, tokenNumber(g)))
}

func tokenNumber(g int) int { return g/10*2 + g%10 - tokenOfTen }

// RefreshToken is that of grant g, which is a person's.
func (l *Large) RefreshToken(g int) string {
	id := l.id(kindGrant, g)
	return "r_" + id + "." + refreshSecret(id)
}

func bearer(id string) string { return id + "." + secretOf(id) }

// secretOf is the secret that belongs to the row of that id.
func secretOf(id string) string {
	sum := sha256.Sum256([]byte("the secret of " + id))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// A refresh token's secret has three parts, the last a mark (oidc/bearer.go).
func refreshSecret(id string) string {
	family, step := secretOf("family " + id)[:22], secretOf("step " + id)[:22]
	m := hmac.New(sha256.New, []byte(family))
	m.Write([]byte(id + "~" + step))
	return family + "~" + step + "~" + base64.RawURLEncoding.EncodeToString(m.Sum(nil)[:16])
}

func hash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// scatter maps numbers to numbers without order, no two to the same.
func scatter(i int) uint64 {
	x := uint64(i) + 1
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// userOf is the user that the ith of something belongs to: each in turn, in no order. The number is a prime.
func (l *Large) userOf(i int) int { return int(uint64(i) * 2654435761 % uint64(l.Users)) }

// made is when the ith thing of a kind was made: all of a kind are spread over a while that ended a minute ago.
func (l *Large) made(kind byte, i int) time.Time {
	while, n := time.Hour, 1
	switch kind {
	case kindUser:
		while, n = 1000*24*time.Hour, l.Users
	case kindApp:
		while, n = 900*24*time.Hour, l.Apps
	case kindSession:
		while, n = 6*time.Hour, l.Sessions()
	case kindGrant:
		while, n = 30*24*time.Hour, l.Grants
	case kindToken:
		n = l.Grants / 5
	case kindEvent:
		while, n = 90*24*time.Hour, 3*l.Users
	}
	return l.Now.Add(-time.Minute - while + time.Duration(float64(while)*float64(i)/float64(n))).Truncate(time.Microsecond)
}

const idDigits = "0123456789abcdefghjkmnpqrstvwxyz"

// id is the ith of a kind, of the form that store.IDs makes.
func (l *Large) id(kind byte, i int) string {
	var id [26]byte
	t := uint64(l.made(kind, i).UnixMicro())
	for k := 10; k >= 0; k-- {
		id[k] = idDigits[t&31]
		t >>= 5
	}
	r, more := scatter(i), scatter(i^int(kind)<<40)
	for k := 11; k < 26; k++ {
		id[k] = idDigits[r&31]
		if r >>= 5; k == 18 {
			r = more
		}
	}
	return string(id[:])
}

// Fill fills the database, which nobody else uses meanwhile, and says on log how far it is.
func Fill(ctx context.Context, dsn string, sealer *keys.Sealer, l *Large, log io.Writer) (err error) {
	if l.Users < 10 || l.Apps < len(l.moulds()) || l.Grants < 10 {
		return errors.New("storetest: a large store has 10 users and grants at least, and an app of each kind")
	}
	f := &filler{Large: l, log: log}
	if err := f.find(ctx, dsn, sealer); err != nil {
		return err
	}
	if f.bulk, err = openBulk(ctx, dsn); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	for _, part := range []func(context.Context) error{f.people, f.definitions, f.sessions, f.grants, f.history, f.finish} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}
