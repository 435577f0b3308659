package oidc_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
	"github.com/lanyard-sso/lanyard/oidc"
)

// grant gives the client tokens of the person.
func (h *house) grant(client, who string, scopes string) *answer {
	h.t.Helper()
	return h.ok(h.redeem(client, h.browser(who).code(client, "scope", scopes)))
}

func (h *house) refresh(client, token string, pairs ...string) *answer {
	h.t.Helper()
	return h.post("/oauth2/token", client, append(pairs, "grant_type", "refresh_token", "refresh_token", token)...)
}

func rotating(c *oidc.Client, _ *idp.Installation) { c.RotateRefreshTokens = "on" }

// P9, OA-RT-02: who lost the answer gets the same successor for ten seconds, as often as it asks; then the grant ends.
func TestRotationGrace(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", rotating)
		first := h.grant("rp", "ana", "openid refresh_token")
		second := h.ok(h.refresh("rp", first.text("refresh_token")))
		successor := second.text("refresh_token")
		if successor == "" || successor == first.text("refresh_token") {
			t.Fatalf("not rotated: %s", second.Text)
		}
		for range 3 {
			h.clock.forward(3 * time.Second)
			again := h.ok(h.refresh("rp", first.text("refresh_token")))
			if again.text("refresh_token") != successor || again.text("access_token") == second.text("access_token") {
				t.Errorf("not the same successor, or not a new access token: %s", again.Text)
			}
		}
		if h.active("rp", first.text("refresh_token")) || !h.active("rp", successor) {
			t.Error("introspection does not tell the spent token from the present one")
		}
		third := h.ok(h.refresh("rp", successor))
		// The successor of the successor is nothing that the first token shows.
		h.clock.forward(time.Second)
		h.ok(h.refresh("rp", successor))
		h.clock.forward(10 * time.Second)
		a := h.refresh("rp", successor)
		h.fails(a, 400, invalidGrant)
		if ev := h.event(a); !strings.Contains(ev.Reason, "spent refresh token") || ev.User != "ana" {
			t.Errorf("event %+v", ev)
		}
		// OA-RT-01: FAMILY.
		h.fails(h.refresh("rp", third.text("refresh_token")), 400, invalidGrant)
		for _, token := range []string{first.text("access_token"), second.text("access_token"), third.text("access_token")} {
			if h.active("rp", token) {
				t.Error("OA-RT-01: an access token of the family lives on")
			}
		}
		if !slices.Contains(h.codes(), "OauthGrantEnded") {
			t.Error("no event tells that the grant was ended")
		}
	})
}

// OA-RT-01, OA-RT-04: an older generation ends the grant at once, grace or not.
func TestOlderGeneration(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", rotating)
		first := h.grant("rp", "ana", "refresh_token")
		second := h.ok(h.refresh("rp", first.text("refresh_token")))
		third := h.ok(h.refresh("rp", second.text("refresh_token")))
		h.fails(h.refresh("rp", first.text("refresh_token")), 400, invalidGrant)
		h.fails(h.refresh("rp", third.text("refresh_token")), 400, invalidGrant)
	})
}

// What was garbled or forged is refused and ends nothing, whoever knows the grant's name.
func TestForgedRefreshTokens(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", rotating)
		h.client("other", rotating)
		a := h.grant("rp", "ana", "refresh_token")
		good := a.text("refresh_token")
		id, _, _ := strings.Cut(good, ".")
		forged, _ := oidc.NewRefresh(strings.TrimPrefix(id, "r_"), "familyfamilyfamilyfamily", "stepstepstepstepstepstep")
		for name, bad := range map[string]string{
			"last changed": good[:len(good)-1] + "~", "shorter": good[:len(good)-3], "longer": good + "a", "upper case": strings.ToUpper(good),
			"forged": forged, "no secret": id, "another kind": "c" + good[1:], "middle": good[:40] + "0" + good[41:],
			"another grant": strings.Replace(good, id, id[:len(id)-1]+"u", 1), // no digit of an id
		} {
			if h.fails(h.refresh("rp", bad), 400, invalidGrant); t.Failed() {
				t.Fatal(name)
			}
		}
		// OA-RT-05: another client's use is refused and does no harm.
		h.fails(h.refresh("other", good), 400, invalidGrant)
		h.fails(h.do("POST", "/oauth2/token", "", values("grant_type", "refresh_token", "client_id", "rp", "refresh_token", good)), 401, "invalid_client")
		h.ok(h.refresh("rp", good))
	})
}

// GW-MSG-2: with rotation off (auto, for confidential clients) the token stays, and 50 refreshes at once all succeed.
func TestRotationOff(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		h.client("public", func(c *oidc.Client, _ *idp.Installation) { c.RotateRefreshTokens = "off" })
		for _, client := range []string{"rp", "public"} {
			token := h.grant(client, "ana", "refresh_token").text("refresh_token")
			var all [50]*answer
			var wait sync.WaitGroup
			for i := range all {
				wait.Go(func() { all[i] = h.refresh(client, token) })
			}
			wait.Wait()
			seen := map[string]bool{}
			for _, a := range all {
				if h.ok(a); a.JSON["refresh_token"] != nil {
					t.Errorf("%s", a.Text)
				}
				seen[a.text("access_token")] = true
			}
			if len(seen) != len(all) {
				t.Errorf("%d access tokens", len(seen))
			}
			if !h.active(client, token) {
				t.Error("the refresh token is not active")
			}
		}
	})
}

// OA-RT-03: of many who refresh at once with one rotating token all get the one successor, on either node: never two lines.
func TestParallelRotation(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", rotating)
		token := h.grant("rp", "ana", "refresh_token").text("refresh_token")
		for round := range 4 {
			token = h.many(round, token, h.url)
		}
	})
	t.Run("two nodes", func(t *testing.T) {
		c := &clock{}
		one, two := storetest.Two(t, c.with)
		h := build(t, one, c)
		second := h.serve(two)
		h.client("rp", rotating)
		time.Sleep(300 * time.Millisecond) // the other node has read the table change
		token := h.grant("rp", "ana", "refresh_token").text("refresh_token")
		for round := range 4 {
			token = h.many(round, token, h.url, second)
		}
		// MUL-10: a block on one node is a refusal on the other within a second.
		c2 := h.client("to-block", nil)
		token = h.ok(h.post("/oauth2/token", "to-block", "grant_type", "client_credentials", "scope", "orders")).text("access_token")
		h.block(c2.App, true)
		for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
			a := h.do("POST", second+"/oauth2/token", basic("to-block", secretOf("to-block")), values("grant_type", "client_credentials", "scope", "orders"))
			if a.Status == 400 && a.text("error") == "unauthorized_client" {
				break
			}
			if time.Since(began) > time.Second {
				t.Fatalf("a second after the block: %d %s", a.Status, a.Text)
			}
		}
		if info := h.do("GET", second+"/oauth2/userinfo", "Bearer "+token, nil); info.Status != 401 {
			t.Errorf("userinfo %d", info.Status)
		}
		// OA-CD-01 on the other node.
		code := h.browser("ana").code("rp")
		a := h.ok(h.redeem("rp", code))
		h.fails(h.do("POST", second+"/oauth2/token", basic("rp", secretOf("rp")), values("grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI)), 400, invalidGrant)
		if h.active("rp", a.text("access_token")) {
			t.Error("alive on the first node")
		}
	})
}

// many refreshes 20 times at once, on all nodes, and returns the one successor.
func (h *house) many(round int, token string, nodes ...string) string {
	h.t.Helper()
	var all [20]*answer
	var wait sync.WaitGroup
	for i := range all {
		wait.Go(func() {
			all[i] = h.do("POST", nodes[i%len(nodes)]+"/oauth2/token", basic("rp", secretOf("rp")), values("grant_type", "refresh_token", "refresh_token", token))
		})
	}
	wait.Wait()
	next := map[string]bool{}
	for _, a := range all {
		next[h.ok(a).text("refresh_token")] = true
	}
	if len(next) != 1 || next[""] || next[token] {
		h.t.Fatalf("round %d: successors %v", round, next)
	}
	for n := range next {
		return n
	}
	return ""
}

// OA-RT-06: less may be asked for, never more; the grant keeps what it has.
func TestNarrowing(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		token := h.grant("rp", "ana", "openid orders refresh_token").text("refresh_token")
		a := h.ok(h.refresh("rp", token, "scope", "orders"))
		if a.text("scope") != "orders" || a.JSON["id_token"] != nil {
			t.Errorf("%s", a.Text)
		}
		if is := h.post("/oauth2/introspect", "rp", "token", a.text("access_token")); is.text("scope") != "orders" {
			t.Errorf("%s", is.Text)
		}
		h.fails(h.refresh("rp", token, "scope", "orders profile"), 400, "invalid_scope")
		h.fails(h.refresh("rp", token, "scope", "orders\x01"), 400, "invalid_scope")
		a = h.ok(h.refresh("rp", h.grant("rp", "ana", "openid profile refresh_token").text("refresh_token"), "scope", "openid"))
		if info := h.ok(h.do("GET", "/oauth2/userinfo", "Bearer "+a.text("access_token"), nil)); info.JSON["name"] != nil {
			t.Errorf("a narrow token shows all that was granted: %s", info.Text)
		}
		if a := h.ok(h.refresh("rp", token, "scope", "offline_access openid")); a.text("scope") != "offline_access openid" {
			t.Errorf("%s", a.Text)
		}
		if a := h.ok(h.refresh("rp", token)); a.text("scope") != "openid orders refresh_token" || a.JSON["id_token"] == nil {
			t.Errorf("%s", a.Text)
		}
	})
}

// OA-RT-07: whatever ends the right to refresh ends it at once.
func TestRefreshAfter(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		write := func(f func(*store.Tx) error) func(*oidc.Client) {
			return func(*oidc.Client) { h.must(h.st.Write(t.Context(), f)) }
		}
		for name, end := range map[string]func(*oidc.Client){
			"app blocked":         func(c *oidc.Client) { h.block(c.App, true) },
			"app blocked and not": func(c *oidc.Client) { h.block(c.App, true); h.block(c.App, false) },
			"app uninstalled": func(c *oidc.Client) {
				h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.DropInstallation(h.org.ID, c.App) }))
			},
			"signed out everywhere": write(func(tx *store.Tx) error { return tx.EndUser(h.org.ID, h.people["ben"].ID) }),
			"policy": func(*oidc.Client) {
				h.door.set(func(d *door) { d.no[h.people["ben"].ID] = &oidc.Denied{Code: invalidGrant, Event: "NoAccess"} })
			},
			"org's epoch": write(func(tx *store.Tx) error { _, err := tx.Exec("UPDATE org SET epoch = epoch + 1"); return err }),
			"app's epoch": func(c *oidc.Client) {
				h.must(h.st.Write(t.Context(), func(tx *store.Tx) error {
					_, err := tx.Exec("UPDATE app SET epoch = epoch + 1 WHERE id = $1", c.App)
					return err
				}))
			},
			"flow off":         nil,
			"scope taken away": nil,
		} {
			c := h.client("rp-"+strings.NewReplacer(" ", "-", "'", "").Replace(name), nil)
			a := h.grant(c.ID, "ben", "openid orders refresh_token")
			if end != nil {
				end(c)
				h.fails(h.refresh(c.ID, a.text("refresh_token")), 400, invalidGrant)
				h.door.set(func(d *door) { delete(d.no, h.people["ben"].ID) })
				if name != "policy" && !strings.HasPrefix(name, "app blocked") || name == "app blocked and not" {
					if h.active(c.ID, a.text("access_token")) {
						t.Errorf("%s: the access token is active", name)
					}
				}
				continue
			}
			h.change(c.App, func(c *oidc.Client) {
				c.Refresh, c.Scopes = name != "flow off", []string{"openid", "refresh_token"}
			})
			if name == "flow off" {
				h.fails(h.refresh(c.ID, a.text("refresh_token")), 400, "unauthorized_client")
				if h.active(c.ID, a.text("refresh_token")) {
					t.Error("a refresh token that can not be used is active")
				}
			} else if got := h.ok(h.refresh(c.ID, a.text("refresh_token"))).text("scope"); got != "openid refresh_token" {
				t.Errorf("scope %q", got)
			}
		}
		c := h.client("last", nil)
		a := h.grant(c.ID, "ben", "refresh_token")
		h.must(h.st.Write(t.Context(), func(tx *store.Tx) error { return tx.SetActive(h.org.ID, h.people["ben"].ID, false) }))
		h.fails(h.refresh(c.ID, a.text("refresh_token")), 400, invalidGrant)
	})
}

// OA-RT-08: a refresh token dies unused after 30 days, a public client's in any case after 90.
func TestRefreshEnds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		h.client("public", func(c *oidc.Client, _ *idp.Installation) { c.Public = true })
		const day = 24 * time.Hour
		token := h.grant("rp", "ana", "refresh_token").text("refresh_token")
		code := h.browser("ana").code("public", "scope", "refresh_token", "code_challenge", challenge(verifier), "code_challenge_method", "S256")
		public := func(pairs ...string) *answer {
			return h.do("POST", "/oauth2/token", "", values(append(pairs, "client_id", "public")...))
		}
		open := h.ok(public("grant_type", "authorization_code", "code", code, "redirect_uri", redirectURI, "code_verifier", verifier)).text("refresh_token")
		for range 4 { // 84 days and more
			h.clock.forward(21 * day)
			h.ok(h.refresh("rp", token))
			open = h.ok(public("grant_type", "refresh_token", "refresh_token", open)).text("refresh_token")
		}
		h.clock.forward(7 * day)
		h.ok(h.refresh("rp", token))
		h.fails(public("grant_type", "refresh_token", "refresh_token", open), 400, invalidGrant)
		h.clock.forward(30*day + time.Second)
		h.fails(h.refresh("rp", token), 400, invalidGrant)
	})
}

// OA-JWT-11: another org's tokens are nothing here, even if its rows stand beside.
func TestOtherOrg(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", nil)
		a := h.grant("rp", "ana", "openid refresh_token")
		h.client("here", nil)
		mine := *h.org
		other := &idp.Org{Name: "other", URL: "http://127.0.0.2"}
		h.must(h.st.Orgs().AddOrg(t.Context(), other))
		*h.org = *other
		defer func() { *h.org = mine }()
		for _, path := range []string{"/oauth2/introspect", "/oauth2/revoke"} {
			h.fails(h.post(path, "rp", "token", a.text("access_token")), 401, "invalid_client")
		}
		if info := h.do("GET", "/oauth2/userinfo", "Bearer "+a.text("access_token"), nil); info.Status != http.StatusUnauthorized {
			t.Errorf("userinfo %d", info.Status)
		}
		h.fails(h.refresh("rp", a.text("refresh_token")), 401, "invalid_client")
		h.local(h.browser("").ask("rp"))
		moved := strings.Replace(a.text("access_token"), mine.ID, other.ID, 1)
		if info := h.do("GET", "/oauth2/userinfo", "Bearer "+moved, nil); info.Status != http.StatusUnauthorized {
			t.Errorf("userinfo %d", info.Status)
		}
	})
}

// Nothing secret is in the database: neither a token nor a code nor a client's secret can be read from it.
func TestNothingSecretIsStored(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.client("rp", rotating)
		code := h.browser("ana").code("rp", "scope", "openid refresh_token")
		a := h.ok(h.redeem("rp", code))
		b := h.ok(h.refresh("rp", a.text("refresh_token")))
		var dump strings.Builder
		for _, q := range []string{"SELECT doc FROM code", "SELECT doc FROM grants", "SELECT doc FROM app", "SELECT doc FROM login", "SELECT scopes FROM token", "SELECT reason FROM event",
			"SELECT hash FROM code", "SELECT hash FROM grants", "SELECT previous FROM grants", "SELECT successor FROM grants", "SELECT hash FROM token", "SELECT secret FROM app"} {
			h.must(h.st.Read(t.Context()).Each(func(r store.Row) error {
				var v []byte
				err := r.Scan(&v)
				fmt.Fprintf(&dump, "%s %x\n", v, v)
				return err
			}, q))
		}
		for _, value := range []string{code, a.text("access_token"), a.text("refresh_token"), b.text("refresh_token"), b.text("access_token")} {
			_, secret, _ := strings.Cut(value, ".")
			for part := range strings.SplitSeq(secret, "~") {
				if strings.Contains(dump.String(), part) {
					t.Errorf("%s is in the database", part)
				}
			}
		}
		if strings.Contains(dump.String(), secretOf("rp")) {
			t.Error("the client's secret is in the database")
		}
	})
}

// Scopes that are taken from an app: what is left is given, and where nothing is, nothing. Without the scope of refresh
// tokens there are none, as without the flow.
func TestScopesTaken(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		c := h.client("rp", nil)
		h.client("api", func(c *oidc.Client, _ *idp.Installation) { c.Introspect = "all" })
		b := h.browser("ana")
		was := c.Scopes
		have := func(scopes ...string) { t.Helper(); h.change(c.App, func(c *oidc.Client) { c.Scopes = scopes }) }

		code := b.code("rp", "scope", "openid orders")
		have("profile")
		h.fails(h.redeem("rp", code), 400, "invalid_grant")
		have(was...)
		h.ok(h.redeem("rp", code)) // nothing was spent

		refresh := h.grant("rp", "ana", "openid orders refresh_token").text("refresh_token")
		have("orders", "offline_access")
		if a := h.ok(h.refresh("rp", refresh)); a.text("scope") != "orders refresh_token" || a.JSON["id_token"] != nil {
			t.Errorf("%s", a.Text)
		}
		h.fails(h.refresh("rp", refresh, "scope", "openid"), 400, "invalid_grant")
		have("openid", "orders")
		h.fails(h.refresh("rp", refresh), 400, "unauthorized_client")
		if h.active("api", refresh) {
			t.Error("a refresh token without its scope is active")
		}
		have(was...)
		if h.ok(h.refresh("rp", refresh)); !h.active("api", refresh) {
			t.Error("it is not active")
		}
	})
}
