package main_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// MOG-*: a vendor's app for many users, which goes on acting for whoever authorized it last.
func TestMogli(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		o.apply(person("ana", ""), person("ben", ""),
			client("Mogli Technologies", "mogli", "https://mogli.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [api, refresh_token]\nflows: {authorizationCode: true, refresh: true}", "{permittedUsers: self-authorize}"))
		o.serve()
		m := newRP(t, o, "mogli", secret, "https://mogli.example/cb", "api", "refresh_token")
		authorize := func(name string) *oauth2.Token {
			t.Helper()
			b := o.in(name)
			p := b.get(m.start())
			for _, want := range []string{"Mogli Technologies asks for access", "Use the programming interfaces as you", "Act for you while you are away", name} {
				if !strings.Contains(p.body, want) {
					t.Errorf("MOG-1: the page does not say %q\n%s", want, p.body)
				}
			}
			_, token := m.signIn(b.fill(p, "decision", "allow"))
			if token.RefreshToken == "" || token.TokenType != "Bearer" {
				t.Fatalf("MOG-1: %+v", token)
			}
			return token
		}
		as := func(token *oauth2.Token) any {
			t.Helper()
			_, seen := m.active(token.AccessToken)
			return seen["username"]
		}
		// MOG-3
		for what, header := range map[string]string{"no token": "", "an old token": "Bearer t_abc.def"} {
			q := must(http.NewRequest("GET", o.url+"/oauth2/userinfo", nil))
			if header != "" {
				q.Header.Set("Authorization", header)
			}
			res, err := m.http.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 401 || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("MOG-3: %s: %d %q", what, res.StatusCode, res.Header.Get("WWW-Authenticate"))
			}
		}
		// MOG-4, MOG-8: both remain, and each says who it acts for.
		a, b := authorize("ana"), authorize("ben")
		if as(a) != "ana" || as(b) != "ben" {
			t.Errorf("MOG-8: %v and %v", as(a), as(b))
		}
		a, err := m.refresh(a.RefreshToken)
		if err != nil || as(a) != "ana" {
			t.Fatalf("MOG-4: %v", err)
		}
		// D15, E5: a new password changes nothing for the integration.
		w := o.in("ana")
		if p := w.fill(w.get("/account/password"), "current", password, "password", "a new "+password, "repeat", "a new "+password); p.url.Path != "/account" {
			t.Fatalf("changing the password: %d", p.status)
		}
		if _, err := m.refresh(a.RefreshToken); err != nil {
			t.Errorf("D15: %v", err)
		}
		// MOG-5
		grants := func() (users []string) {
			t.Helper()
			var all []struct{ User string }
			if err := json.Unmarshal([]byte(o.run("grant", "list", "--app", "Mogli_Technologies", "-o", "json")), &all); err != nil {
				t.Fatal(err)
			}
			for _, g := range all {
				users = append(users, g.User)
			}
			slices.Sort(users)
			return users
		}
		if got := grants(); !slices.Equal(got, []string{"ana", "ben"}) {
			t.Errorf("MOG-5: %q", got)
		}
		o.run("grant", "revoke", "--app", "Mogli_Technologies", "--user", "ana")
		if code, status := oauthError(second(m.refresh(a.RefreshToken))); code != "invalid_grant" || status != 400 {
			t.Errorf("MOG-5: Ana's: %q %d", code, status)
		}
		if b, err = m.refresh(b.RefreshToken); err != nil || as(b) != "ben" {
			t.Errorf("MOG-5: Ben's: %v", err)
		}
		if got := grants(); !slices.Equal(got, []string{"ben"}) {
			t.Errorf("MOG-5: %q", got)
		}
		// MOG-6
		o.run("user", "deactivate", "ben")
		if active, _ := m.active(b.AccessToken); active {
			t.Error("MOG-6: active")
		}
		if code, status := oauthError(second(m.refresh(b.RefreshToken))); code != "invalid_grant" || status != 400 {
			t.Errorf("MOG-6: %q %d", code, status)
		}
		// MOG-7
		o.run("user", "activate", "ben")
		b = reauthorize(t, o, m, "ben")
		o.run("grant", "revoke", "--app", "Mogli_Technologies", "--all")
		status, got := m.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {b.RefreshToken}})
		if status != 400 || got["error"] != "invalid_grant" || got["error_description"] == "" {
			t.Errorf("MOG-7: %d %v", status, got)
		}
	})
}

// reauthorize is for a person who has agreed before.
func reauthorize(t *testing.T, o *org, r *rp, name string) *oauth2.Token {
	t.Helper()
	b := o.in(name)
	p := b.get(r.start())
	if p.url.Path == "/consent" {
		p = b.fill(p, "decision", "allow")
	}
	_, token := r.signIn(p)
	return token
}

// TRV-2: who may, by profile, permission set, group and name; without a policy, nobody.
func TestPermitted(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		o.apply("kind: Profile\nname: Sales", "kind: PermissionSet\nname: Travel", "kind: Group\nname: board",
			person("pat", "profile: Sales"), person("sam", "permissionSets: [Travel]"), person("gil", "groups: [board]"), person("uma", ""), person("old", ""), person("nob", ""),
			client("Trips", "trips", "https://trips.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid]\nflows: {authorizationCode: true}",
				"{profiles: [Sales], permissionSets: [Travel], groups: [board], users: [{user: uma}, {user: old, until: 2020-01-31}]}"),
			strings.Split(client("Nowhere", "nowhere", "https://nowhere.example/cb", "clientSecret: {plain: "+secret+"}\nscopes: [openid]\nflows: {authorizationCode: true}", ""), "\npolicy:")[0])
		o.serve()
		trips, nowhere := newRP(t, o, "trips", secret, "https://trips.example/cb", "openid"), newRP(t, o, "nowhere", secret, "https://nowhere.example/cb", "openid")
		for name, may := range map[string]bool{"pat": true, "sam": true, "gil": true, "uma": true, "old": false, "nob": false} {
			b := o.in(name)
			tile := strings.Contains(b.get("/apps").body, "Trips")
			p := b.get(trips.start())
			q := trips.back(p)
			var said struct{ Decision, Rule string }
			if err := json.Unmarshal([]byte(o.run("explain", "--user", name, "--app", "Trips", "-o", "json")), &said); err != nil {
				t.Fatal(err)
			}
			if q.Has("code") != may || tile != may || (said.Decision == "allow") != may {
				t.Errorf("TRV-2: %s: %v, tile %v, explain %+v", name, q, tile, said)
			}
			if !may && (q.Get("error") != "access_denied" || said.Rule != "permitted-users") {
				t.Errorf("TRV-2: %s: %v, explain %+v", name, q, said)
			}
			if e := nowhere.refusal(b.get(nowhere.start())); e != "access_denied" {
				t.Errorf("closed by default: %s: %q", name, e)
			}
		}
	})
}

// The rest of the OpenID Foundation's basic plan: what it checks that the other tests do not.
func TestBasicPlan(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		w, b := wellness(t, o), o.in("ana")
		// oidcc-server: keys are public and have names.
		_, keys := w.send(must(http.NewRequest("GET", o.url+"/oauth2/keys", nil)))
		all, _ := keys["keys"].([]any)
		kids := map[any]bool{}
		for _, k := range all {
			k, _ := k.(map[string]any)
			kids[k["kid"]] = true
			for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "k"} {
				if _, ok := k[private]; ok {
					t.Errorf("JWKS: %s", private)
				}
			}
		}
		if len(all) == 0 || len(kids) != len(all) || kids[nil] {
			t.Errorf("JWKS: %v", keys)
		}
		for what, q := range map[string]struct{ address, want string }{
			"oidcc-response-type-missing":   {strings.Replace(w.start(), "response_type=code&", "", 1), "invalid_request"},
			"oidcc-unsigned-request-object": {w.start(param("request", "eyJhbGciOiJub25lIn0.eyJzY29wZSI6Im9wZW5pZCJ9.")), "request_not_supported"},
			"oidcc-request-uri-unsigned":    {w.start(param("request_uri", "https://wellness.example/request.jwt")), "request_uri_not_supported"},
			"OA-PR-03":                      {w.start(param("max_age", "abc")), "invalid_request"},
		} {
			if e := w.refusal(b.get(q.address)); e != q.want {
				t.Errorf("%s: %q, not %q", what, e, q.want)
			}
		}
		// oidcc-ensure-post-request-succeeds
		u := must(url.Parse(w.start()))
		id, token := w.signIn(b.post(u.Path, u.Query(), "https://wellness.example/"))
		// oidcc-claims-essential, -alternate-happy-flow
		w.Scopes = []string{"groups", "address", "phone", "email", "profile", "openid"}
		_, more := w.signIn(b.get(w.start(param("claims", `{"userinfo":{"name":{"essential":true}}}`))))
		told := w.userinfo(more)
		if told["name"] != "Ana Lima" || told["sub"] != id.Subject {
			t.Errorf("oidcc-claims-essential: %v", told)
		}
		if _, ok := told["updated_at"].(float64); !ok {
			t.Errorf("oidcc-scope-profile: updated_at is %v", told["updated_at"])
		}
		// oidcc-server-client-secret-post
		post := *w
		post.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		post.signIn(b.get(post.start()))
		// oidcc-refresh-token, OA-RT-11
		next, err := w.refresh(token.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := next.Extra("id_token").(string)
		again, err := w.verify(raw)
		if err != nil {
			t.Fatalf("ID token from refresh: %v", err)
		}
		if again.Subject != id.Subject || again.AuthTime != id.AuthTime || !slices.Equal(again.Audience, id.Audience) || again.ACR != id.ACR || again.Nonce != "" && again.Nonce != id.Nonce || again.Issued.Before(id.Issued) {
			t.Errorf("OA-RT-11: %+v, was %+v", again, id)
		}
		// oidcc-codereuse is OA-CD-01; OA-AZ-01: nothing twice.
		b.get(w.start()+"&client_id=wellness").refused(t, "OA-AZ-01: client_id twice", 400)
		if p := b.get(w.start() + "&scope=openid"); p.status == 0 && p.url.Query().Has("code") {
			t.Errorf("OA-AZ-01: scope twice: %s", p.url)
		}
		// OA-AZ-07
		q := must(http.NewRequest("GET", w.start(), nil))
		q.Header.Set("Origin", "https://evil.example")
		res, err := b.http.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		for name := range res.Header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("OA-AZ-07: %s", name)
			}
		}
	})
}
