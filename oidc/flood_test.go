package oidc_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/saml"
)

// Where too many requests wait for their person no more are remembered: a page here says so, and the client is told nothing.
// Whoever is signed in is answered all the same.
func TestFlood(t *testing.T) {
	c := &clock{}
	var at atomic.Int64
	at.Store(time.Now().UnixMicro())
	h := build(t, storetest.New(t, storetest.SQLite, c.with, func(config *store.Config) { config.Now = func() time.Time { return time.UnixMicro(at.Load()) } }), c)
	rp := h.leaver("rp")
	// Those of SAML are on the same account, and the store takes large ones.
	for _, size := range []int{4 << 20, 64 << 10, 0} {
		for n := 0; n < 100 && h.st.SAML().AddLogin(t.Context(), h.org.ID, &saml.Login{App: rp.App, RelayState: strings.Repeat("s", size)}) == nil; n++ {
		}
	}
	ana := h.browser("ana")
	for name, a := range map[string]*answer{
		"by GET":   h.browser("").ask("rp"),
		"by POST":  h.send(ana.Client, h.request("POST", "/oauth2/authorize", "", asking("rp"))),
		"sign-out": h.send(ana.Client, h.request("POST", "/oauth2/logout", "", leaving("client_id", "rp"))),
	} {
		if a.Status != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "60" || a.Header.Get("Location") != "" || !strings.Contains(a.Text, "Too many requests") {
			t.Errorf("%s: %d, Retry-After %q, Location %q\n%s", name, a.Status, a.Header.Get("Retry-After"), a.Header.Get("Location"), a.Text)
		}
	}
	h.ok(h.redeem("rp", h.back(ana.ask("rp")).Get("code")))
	at.Add(time.Minute.Microseconds())
	if a := h.send(ana.Client, h.request("POST", "/oauth2/authorize", "", asking("rp"))); a.Status != http.StatusSeeOther {
		t.Errorf("a minute later: %d", a.Status)
	}
	for range 500 {
		if all, err := h.st.Events().List(t.Context(), h.org.ID, store.EventFilter{Code: "TooManyRequests"}); err != nil || len(all) == 1 {
			h.must(err)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("there is not one event")
}
