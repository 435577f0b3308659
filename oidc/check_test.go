package oidc_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/oidc"
)

// yes holds an answer to letting a request pass, and returns its headers.
func (h *house) yes(a *answer) http.Header {
	h.t.Helper()
	if a.Status != http.StatusNoContent || a.Text != "" || a.Header.Get("Cache-Control") != "no-store" {
		h.t.Errorf("not let pass: %d %s %v", a.Status, a.Text, a.Header)
	}
	return a.Header
}

// no holds an answer to RFC 6750 §3; without a code it is a bare challenge.
func (h *house) no(a *answer, status int, code string) {
	h.t.Helper()
	say := a.Header.Get("WWW-Authenticate")
	if a.Status != status || a.Header.Get("X-Lanyard-User") != "" || !strings.HasPrefix(say, `Bearer realm="`+h.url+`"`) ||
		code == "" && strings.Contains(say, "error") || code != "" && !strings.Contains(say, `, error="`+code+`", error_description="`) {
		h.t.Errorf("got %d %s %s, want %d %s", a.Status, say, a.Text, status, code)
	}
}

// SURFACE.md §2: a proxy asks before it lets a request pass.
func TestProxyCheck(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := h.client("rp", nil)
		a := h.grant("rp", "ana", "openid orders refresh_token")
		bearer := "Bearer " + a.text("access_token")
		check := func(query, authorization string) *answer {
			t.Helper()
			return h.do("GET", "/oauth2/check"+query, authorization, nil)
		}
		for _, query := range []string{
			"", "?", "?scope=orders", "?scope=", "?scope=orders%20openid", "?scope=openid+orders+openid", "?audience=https://orders.example",
			"?scope=orders&audience=https%3A%2F%2Forders.example", "?scope=offline_access",
			"?scope=orders&for=/orders/1%3Fx?a=1&a=2&access_token=x&user=ben", // what Envoy puts behind
			"?scope=orders&for=/orders/1;v=2", "?scope=orders&for=/%zz&%zz=1&;=;", "?for=x&&=&s%63ope=orders",
		} {
			got := h.yes(check(query, bearer))
			if got.Get("X-Lanyard-User") != "ana" || got.Get("X-Lanyard-Subject") != h.people["ana"].ID || got.Get("X-Lanyard-Client") != "rp" || got.Get("X-Lanyard-Scope") != "openid orders refresh_token" {
				t.Errorf("%s: %v", query, got)
			}
		}
		for _, method := range []string{"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
			h.yes(h.do(method, "/oauth2/check?scope=orders", bearer, nil))
			h.no(h.do(method, "/oauth2/check?scope=api", bearer, nil), 403, "insufficient_scope")
			h.no(h.do(method, "/oauth2/check", "", nil), 401, "")
		}
		// A body is nobody's to read here: a token in it, or a scope, counts for nothing.
		h.no(h.do("POST", "/oauth2/check", "", values("access_token", a.text("access_token"))), 401, "")
		h.yes(h.do("POST", "/oauth2/check?scope=orders", bearer, values("scope", "api", "access_token", "x")))
		h.yes(h.do("POST", "/oauth2/check", "bearer "+a.text("access_token"), strings.Repeat("x", 100<<10)))

		h.no(check("?scope=api", bearer), 403, "insufficient_scope")
		h.no(check("?scope=orders;x", bearer), 403, "insufficient_scope")
		if say := check("?scope=orders%20api", bearer).Header.Get("WWW-Authenticate"); !strings.HasSuffix(say, `, scope="orders api"`) {
			t.Errorf("WWW-Authenticate %s", say)
		}
		h.no(check("?audience=https://stock.example", bearer), 401, "invalid_token")
		h.no(check("?audience=https://orders.example/", bearer), 401, "invalid_token")
		h.no(check("?audience=rp", bearer), 401, "invalid_token")
		plain := "Bearer " + h.grant("rp", "ana", "openid").text("access_token")
		h.yes(check("", plain))
		h.no(check("?audience=https://orders.example", plain), 401, "invalid_token")
		h.client("other", nil)
		revoked := h.grant("other", "ana", "openid").text("access_token")
		h.ok(h.post("/oauth2/revoke", "other", "token", revoked))
		for name, authorization := range map[string]string{
			"an ID token": "Bearer " + a.text("id_token"), "a refresh token": "Bearer " + a.text("refresh_token"), "garbled": bearer + "a", // OA-JWT-06
			"revoked": "Bearer " + revoked, "of another org": "Bearer x" + a.text("access_token"), "long": "Bearer " + strings.Repeat("a.", 100<<10),
			"in upper case": strings.ToUpper(bearer), "two": bearer + ", " + bearer, "with a space": "Bearer  " + a.text("access_token"),
		} {
			if h.no(check("?scope=orders", authorization), 401, "invalid_token"); t.Failed() {
				t.Fatal(name)
			}
		}
		for _, authorization := range []string{"", basic("rp", secretOf("rp")), "Bearer", "Bearer ", "Digest x", a.text("access_token")} {
			h.no(check("", authorization), 401, "")
		}
		h.no(check("?access_token="+a.text("access_token"), ""), 401, "")
		twice := h.request("GET", "/oauth2/check", bearer, nil)
		twice.Header.Add("Authorization", bearer)
		h.no(h.send(h.http, twice), 401, "invalid_request")
		// What the proxy asks must be clear, and can not be lifted from behind.
		for _, query := range []string{"?scope=orders&scope=openid", "?scope=api&x=/orders%3F&scope=", "?audience=a&audience=https://orders.example", "?scope=%22", "?scope=a%00", "?scope=%zz", "?s%63ope=api&scope=orders",
			"?scope=" + strings.Repeat("a", 9<<10), "?audience=" + strings.Repeat("a", 3<<10)} {
			h.fails(check(query, bearer), 400, "invalid_request")
		}
		// The app's own run-as user, by name.
		machine := "Bearer " + h.ok(h.post("/oauth2/token", "rp", "grant_type", "client_credentials", "scope", "orders")).text("access_token")
		if got := h.yes(check("?scope=orders", machine)); got.Get("X-Lanyard-User") != "svc" {
			t.Errorf("%v", got)
		}
		// Asked with every call.
		h.door.set(func(d *door) {
			d.no[h.people["ana"].ID] = &oidc.Denied{User: h.people["ana"].ID, Code: "invalid_grant", Description: "x", Event: "NoAccess", Reason: "permitted-users: gone from the group"}
		})
		denied := check("?scope=orders", bearer)
		h.no(denied, 401, "invalid_token")
		if ev := h.event(denied); ev.Code != "NoAccess" || !strings.HasPrefix(ev.Reason, "permitted-users") || ev.App != "rp" {
			t.Errorf("%+v", ev)
		}
		h.door.set(func(d *door) { d.no = map[string]*oidc.Denied{} })
		h.yes(check("?scope=orders", bearer))
		h.door.set(func(d *door) { d.fail = oidc.ErrBusy })
		if a := check("", bearer); a.Status != 503 || a.Header.Get("Retry-After") == "" {
			t.Errorf("%d %v", a.Status, a.Header)
		}
		h.door.set(func(d *door) { d.fail = nil })
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.people["ana"].ID, false) }))
		h.no(check("", bearer), 401, "invalid_token")
		h.yes(check("", machine))
		h.block(rp.App, true)
		h.no(check("", machine), 401, "invalid_token")
		h.block(rp.App, false)
		h.no(check("", machine), 401, "invalid_token")
	})
}

// A token that has ended lets nothing pass, and what an app may no longer have counts no more.
func TestProxyCheckEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := h.client("rp", nil)
		bearer := "Bearer " + h.grant("rp", "ana", "openid orders").text("access_token")
		h.yes(h.do("GET", "/oauth2/check?scope=orders", bearer, nil))
		leave := func(lost string, scopes ...string) {
			t.Helper()
			h.change(rp.App, func(c *oidc.Client) { c.Scopes = scopes })
			for range 100 { // on this node within a moment
				if time.Sleep(10 * time.Millisecond); h.do("GET", "/oauth2/check?scope="+lost, bearer, nil).Status != http.StatusNoContent {
					break
				}
			}
		}
		leave("orders", "openid")
		h.no(h.do("GET", "/oauth2/check?scope=orders", bearer, nil), 403, "insufficient_scope")
		h.no(h.do("GET", "/oauth2/check?audience=https://orders.example", bearer, nil), 401, "invalid_token")
		if got := h.yes(h.do("GET", "/oauth2/check", bearer, nil)); got.Get("X-Lanyard-Scope") != "openid" {
			t.Errorf("%v", got)
		}
		leave("openid", "api")
		h.no(h.do("GET", "/oauth2/check", bearer, nil), 403, "insufficient_scope")
		h.clock.forward(61 * time.Minute)
		h.no(h.do("GET", "/oauth2/check", bearer, nil), 401, "invalid_token")
	})
}

// LOG-01: a name can be anything; the header says it in one way, and two names never look the same.
func TestProxyCheckNames(t *testing.T) {
	h := on(t)
	h.client("rp", nil)
	names := map[string]string{
		"Ana.Lima@example.com": "Ana.Lima@example.com", "o'hara": "o%27hara", "ana lima": "ana%20lima", "ana%20lima": "ana%2520lima", "ünal😀": "%C3%BCnal%F0%9F%98%80",
		"a+b@example.com": "a%2Bb@example.com", `a,b;"c"=d\`: "a%2Cb%3B%22c%22%3Dd%5C", "\u202eana": "%E2%80%AEana", "شيماء": "%D8%B4%D9%8A%D9%85%D8%A7%D8%A1", "a_b-c~d": "a_b-c~d",
	}
	for name, want := range names {
		u := &idp.User{Org: h.org.ID, Username: name, Active: true}
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.AddUser(u) }))
		h.people[name] = u
		b := h.browser("")
		b.get("/test/signin?" + values("who", name).Encode())
		token := h.ok(h.redeem("rp", b.code("rp"))).text("access_token")
		if got := h.yes(h.do("GET", "/oauth2/check", "Bearer "+token, nil)).Values("X-Lanyard-User"); len(got) != 1 || got[0] != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
