package oidc_test

import (
	"crypto"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/lanyard-sso/lanyard/idp"
)

// The unit that costs are counted in, and two requests in front of a real SQLite file.

func BenchmarkRawSignature(b *testing.B) {
	k, err := rings()[0].Active()
	if err != nil {
		b.Fatal(err)
	}
	private, err := k.Signer()
	if err != nil {
		b.Fatal(err)
	}
	sum := sha256.Sum256([]byte("x"))
	for b.Loop() {
		if _, err := private.Sign(nil, sum[:], crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

// sends returns what sends one form to the handler, without a network.
func (h *house) sends(client, path string, form url.Values) func() *httptest.ResponseRecorder {
	router := mux.NewRouter()
	h.handler(h.st).Mount(router)
	body, auth := form.Encode(), basic(client, secretOf(client))
	return func() *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r.WithContext(idp.WithOrg(r.Context(), h.org)))
		return w
	}
}

func BenchmarkClientCredentials(b *testing.B) {
	h := on(b)
	h.client("batch", nil)
	send := h.sends("batch", "/oauth2/token", values("grant_type", "client_credentials", "scope", "orders"))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if w := send(); w.Code != http.StatusOK {
				b.Error(w.Body)
			}
		}
	})
}

func BenchmarkIntrospect(b *testing.B) {
	h := on(b)
	h.client("batch", nil)
	token := h.post("/oauth2/token", "batch", "grant_type", "client_credentials", "scope", "orders").text("access_token")
	send := h.sends("batch", "/oauth2/introspect", values("token", token))
	for b.Loop() {
		if w := send(); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"active":true`) {
			b.Fatal(w.Body)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	h := on(b)
	h.client("batch", nil)
	token := h.post("/oauth2/token", "batch", "grant_type", "client_credentials", "scope", "orders").text("access_token")
	router := mux.NewRouter()
	h.handler(h.st).Mount(router)
	for b.Loop() {
		r := httptest.NewRequest("GET", "/oauth2/check?scope=orders&audience=https://orders.example", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r.WithContext(idp.WithOrg(r.Context(), h.org)))
		if w.Code != http.StatusNoContent {
			b.Fatal(w.Body)
		}
	}
}
