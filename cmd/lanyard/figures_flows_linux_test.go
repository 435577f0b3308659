package main_test

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// flow is a row of the table: what one asker does once.
type flow struct {
	name  string
	reach float64 // raw signatures at most; 0: no figure was set
	do    func(*worker) error
}

var flows = []flow{
	{"SAML response, signed once, with a session", 1.3, func(w *worker) error { return w.sso(pick(w.once, w.turn)) }},
	{"SAML response, assertion and response signed", 2.3, func(w *worker) error { return w.sso(pick(w.twice, w.turn)) }},
	{"OpenID Connect code flow with a session: authorize, token, RS256 ID token", 1.5, func(w *worker) error { _, err := w.codeFlow(); return err }},
	{"client-credentials token, opaque", 0.08, func(w *worker) error { _, err := w.credentials(pick(w.batch, w.turn)); return err }},
	{"introspection", 0.05, func(w *worker) error { return w.introspect(pick(w.machines, w.turn)) }},
	{"introspection of a person's token", 0, func(w *worker) error { return w.introspect(pick(w.tokens, w.turn)) }},
	{"check (`/oauth2/check`)", 0, (*worker).check},
	{"refresh, with RS256 ID token", 0, (*worker).again},
	{"userinfo", 0, (*worker).userinfo},
	{"discovery", 0, func(w *worker) error {
		_, err := w.send(http.StatusOK, w.get("/.well-known/openid-configuration", ""))
		return err
	}},
	{"sign-in with a password (argon2id, 19 MiB)", 0, (*worker).signIn},
}

// sso is a browser that a service provider sent here by Redirect; the answer is the page that posts itself.
func (w *worker) sso(entity string) error {
	host := strings.TrimSuffix(entity, "/meta")
	doc := `<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_` + rand.Text() +
		`" Version="2.0" IssueInstant="` + time.Now().UTC().Format(time.RFC3339) + `" Destination="http://` + w.addr + `/saml/sso" AssertionConsumerServiceURL="` + host +
		`/acs" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"><saml:Issuer>` + entity +
		`</saml:Issuer><samlp:NameIDPolicy AllowCreate="true" Format="urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"/></samlp:AuthnRequest>`
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out.Reset()
	d.Reset(&d.out)
	_, err := d.Write([]byte(doc))
	if err == nil {
		err = d.Close()
	}
	if err != nil {
		return err
	}
	query := url.Values{"SAMLRequest": {base64.StdEncoding.EncodeToString(d.out.Bytes())}, "RelayState": {"/start?tab=1"}}
	a, err := w.send(http.StatusOK, w.get("/saml/sso?"+query.Encode(), pick(w.sessions, w.turn)))
	if err == nil && !bytes.Contains(a.body, []byte(`name="SAMLResponse"`)) {
		err = fmt.Errorf("no response: %.2000s", a.body)
	}
	return err
}

type deflater struct {
	*flate.Writer
	out bytes.Buffer
}

var deflaters = sync.Pool{New: func() any {
	d := &deflater{}
	d.Writer = must(flate.NewWriter(&d.out, flate.DefaultCompression))
	return d
}}

type tokenAnswer struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
}

// post asks the token endpoint.
func (w *worker) post(of rpApp, form string) (t tokenAnswer, err error) {
	a, err := w.send(http.StatusOK, w.form("/oauth2/token", of.auth, form))
	if err == nil {
		err = json.Unmarshal(a.body, &t)
	}
	return t, err
}

var verifier = strings.Repeat("v", 43)

var codeChallenge = func() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}()

func (w *worker) codeFlow() (t tokenAnswer, err error) {
	of := pick(w.rps, w.turn)
	a, err := w.send(http.StatusSeeOther, w.get("/oauth2/authorize?response_type=code&client_id="+of.id+"&redirect_uri="+url.QueryEscape(of.redirect)+
		"&scope=openid+profile+email+refresh_token&state=s-"+strconv.Itoa(w.turn)+"&nonce=n-"+strconv.Itoa(w.turn)+
		"&code_challenge_method=S256&code_challenge="+codeChallenge, pick(w.sessions, w.turn)))
	if err != nil {
		return t, err
	}
	to, err := url.Parse(a.location)
	if err != nil || to.Query().Get("code") == "" {
		return t, fmt.Errorf("no code: %s", a.location)
	}
	t, err = w.post(of, "grant_type=authorization_code&code="+url.QueryEscape(to.Query().Get("code"))+"&redirect_uri="+url.QueryEscape(of.redirect)+"&code_verifier="+verifier)
	if err == nil && (t.ID == "" || t.Refresh == "") {
		err = fmt.Errorf("no ID token or refresh token: %+v", t)
	}
	return t, err
}

func (w *worker) credentials(of rpApp) (t tokenAnswer, err error) {
	if t, err = w.post(of, "grant_type=client_credentials&scope=orders"); err == nil && t.Access == "" {
		err = fmt.Errorf("no token: %+v", t)
	}
	return t, err
}

func (w *worker) introspect(h holding) error {
	a, err := w.send(http.StatusOK, w.form("/oauth2/introspect", h.of.auth, "token="+url.QueryEscape(h.value)))
	if err == nil && !bytes.Contains(a.body, []byte(`"active":true`)) {
		err = fmt.Errorf("%s", a.body)
	}
	return err
}

func (w *worker) check() error {
	_, err := w.send(http.StatusNoContent, w.get("/oauth2/check?scope=orders", "Authorization: Bearer "+pick(w.machines, w.turn).value+"\r\n"))
	return err
}

func (w *worker) again() error {
	h := pick(w.refresh, w.turn)
	t, err := w.post(h.of, "grant_type=refresh_token&refresh_token="+url.QueryEscape(h.value))
	if err == nil && (t.Access == "" || t.ID == "") {
		err = fmt.Errorf("no tokens: %+v", t)
	}
	return err
}

func (w *worker) userinfo() error {
	a, err := w.send(http.StatusOK, w.get("/oauth2/userinfo", "Authorization: Bearer "+pick(w.tokens, w.turn).value+"\r\n"))
	if err == nil && !bytes.Contains(a.body, []byte(`"sub"`)) {
		err = fmt.Errorf("%s", a.body)
	}
	return err
}

// signIn is a person at a browser that is new to the house; the address is everybody's.
func (w *worker) signIn() error {
	_, err := w.send(http.StatusSeeOther, w.form("/signin", "Origin: http://"+w.addr+"\r\n",
		"username="+w.people[(w.n+w.turn*inFlight)%len(w.people)]+"&password="+url.QueryEscape(password)))
	return err
}
