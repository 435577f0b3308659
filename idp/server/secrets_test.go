package server_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// LOG-02, SEC-01: what was typed, shown or handed out is neither in the log, nor in an event, nor in the clear in the
// database's files.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	dsn := storetest.DSN(t, storetest.SQLite)
	st := storetest.Open(t, dsn)
	h := newHouse(t, st)
	b := h.browser()
	const typed = "mistyped by a person"
	b.signIn(b.get("/apps"), "ana", typed)
	b.signIn(b.get("/apps"), "ana", "correct horse battery")
	p := b.get(redirectRequest(t, h, "_one", ""))
	secrets := map[string]string{
		"password": "correct horse battery", "typed password": typed, "client secret": "a-client-secret",
		"SAML response": responseField.FindStringSubmatch(p.body)[1][:200],
	}
	q := url.Values{"response_type": {"code"}, "client_id": {"wellness"}, "redirect_uri": {"https://wellness.example/cb"},
		"scope": {"openid email"}, "state": {"a-state-value"}, "nonce": {"a-nonce-value"}, "login_hint": {"hint-of-somebody"}}
	to, err := url.Parse(b.get("/oauth2/authorize?" + q.Encode()).header.Get("Location"))
	must(t, err)
	form := url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {"https://wellness.example/cb"},
		"client_id": {"wellness"}, "client_secret": {"a-client-secret"}}
	p = b.post("/oauth2/token", form, "")
	var got map[string]any
	must(t, json.Unmarshal([]byte(p.body), &got))
	b.post("/oauth2/token", form, "") // a second time
	form.Set("client_secret", "a-wrong-client-secret")
	b.post("/oauth2/token", form, "")
	home, err := url.Parse(h.url)
	must(t, err)
	for _, c := range b.Jar.Cookies(home) {
		_, secret, _ := strings.Cut(c.Value, ".")
		secrets["cookie "+c.Name] = secret
	}
	_, secrets["code"], _ = strings.Cut(to.Query().Get("code"), ".")
	_, secrets["access token"], _ = strings.Cut(got["access_token"].(string), ".")
	secrets["ID token"] = got["id_token"].(string)
	secrets["wrong client secret"] = "a-wrong-client-secret"
	inQueries := map[string]string{"state": "a-state-value", "nonce": "a-nonce-value", "hint": "hint-of-somebody"}

	log := h.log.String()
	for name, s := range inQueries {
		if strings.Contains(log, s) {
			t.Errorf("%s is in the log", name)
		}
	}
	events, err := st.Events().List(t.Context(), h.org.ID, store.EventFilter{Limit: 1000})
	must(t, err)
	told, err := json.Marshal(events)
	must(t, err)
	must(t, st.Close()) // and all is in the files
	var files []byte
	found, err := filepath.Glob(strings.TrimPrefix(dsn, "sqlite:") + "*")
	must(t, err)
	for _, f := range found {
		data, err := os.ReadFile(f)
		must(t, err)
		files = append(files, data...)
	}
	if !strings.Contains(string(files), "Your Benefits") || !strings.Contains(log, "/oauth2/token") || !strings.Contains(string(told), "SamlSpInitiatedSSO") {
		t.Fatal("looked in the wrong place")
	}
	for name, s := range secrets {
		if len(s) < 10 {
			t.Fatalf("%s is %q", name, s)
		}
		for place, text := range map[string]string{"the log": log, "an event": string(told), "the database": string(files)} {
			if strings.Contains(text, s) {
				t.Errorf("the %s is in %s", name, place)
			}
		}
	}
	if strings.Contains(string(files), "PRIVATE KEY") {
		t.Error("a private key is in the database")
	}
}
