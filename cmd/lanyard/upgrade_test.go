package main_test

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// with is a browser that has these cookies.
func (o *org) with(cookies []*http.Cookie) *browser {
	b := o.browser()
	b.jar.SetCookies(b.home, cookies)
	return b
}

// A database of each released version is opened by this one, and everything that was known then is still true: first of all
// what can be read, then everything that people and programs hold in their hands.
func TestUpgrade(t *testing.T) {
	eachRelease(t, []string{storetest.SQLite, storetest.Postgres}, func(t *testing.T, o *org, r *release, k *known) {
		// The first command migrates. Nothing that was declared reads differently, and no event is lost.
		began := time.Now()
		export := o.run("export")
		t.Logf("migrated and read in %s", time.Since(began).Round(time.Millisecond))
		if diff := cmp.Diff(k.Export+"\n", export); diff != "" {
			t.Errorf("the export changed (-%s +now):\n%s", r.Version, diff)
		}
		var all []event
		if err := json.Unmarshal([]byte(o.run("event", "list", "-o", "json")), &all); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(k.Events, all); diff != "" {
			t.Errorf("the events changed (-%s +now):\n%s", r.Version, diff)
		}
		o.nodes = nil
		o.serve()
		k.holds(t, o)
	})
}

// holds tries all that is known.
func (k *known) holds(t *testing.T, o *org) {
	t.Helper()
	// A code on its way when the old version ended; a person in the midst of signing in.
	pocket := newRP(t, o, "pocket", "", "http://127.0.0.1:1/cb", "openid", "refresh_token")
	pocket.pkce = k.Verifier
	token, err := pocket.exchange(k.Code)
	if err != nil {
		t.Errorf("the code: %v", err)
	} else if _, err := pocket.verify(token.Extra("id_token").(string)); err != nil {
		t.Errorf("its ID token: %v", err)
	}
	if code, _ := oauthError(second(pocket.exchange(k.Code))); code != "invalid_grant" {
		t.Errorf("the code once more: %q", code)
	}
	w := wellness(t, o)
	w.state = k.BegunState
	late := o.with(k.Begun)
	if w.code(late.signIn(late.get(k.BegunAt), "ana")) == "" {
		t.Error("who was about to sign in cannot go on")
	}

	// A session goes on, and one that was ended stays ended.
	b := o.with(k.Session)
	if p := b.get("/apps"); p.status != 200 || p.url.Path != "/apps" || !strings.Contains(p.body, "Your Benefits") {
		t.Errorf("the session: %d %s", p.status, p.url)
	}
	w = wellness(t, o)
	claims, _ := w.signIn(b.get(w.start(param("prompt", "none"))))
	o.with(k.Ended).get("/apps").asks(t)

	// Passwords, and who may not come in.
	o.in("ana")
	o.in("ben")
	x := o.browser()
	if p := x.fill(x.get("/signin"), "username", "cyd", "password", password); p.url.Path != "/signin" {
		t.Errorf("who was shut out is let in: %s", p.url)
	}

	// SAML: the same persistent NameID, by the same certificate; attributes; an app that was blocked.
	s := newSP(t, "pension.example").meet(o)
	q := s.request()
	a, _ := s.accept(b.get(s.redirect(q, "")), q.ID)
	if got := a.Subject.NameID.Value; got != k.PersistentNameID {
		t.Errorf("the persistent NameID was %q, and is %q", k.PersistentNameID, got)
	}
	if got := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.cert.Raw})); got != k.SAMLCertificate {
		t.Error("the SAML certificate changed")
	}
	benefits := newSP(t, "benefits.example").meet(o)
	q = benefits.request()
	a, _ = benefits.accept(b.get(benefits.redirect(q, "")), q.ID)
	if got := values(a, "sites"); len(got) != 2 || got[1] != "Porto" {
		t.Errorf("attribute sites: %q", got)
	}
	closed := newSP(t, "closed.example").meet(o)
	b.get(closed.redirect(closed.request(), "")).refused(t, "a blocked app", 403)

	// OAuth: tokens of all kinds.
	then := *w // no time in it can be moved on, so it is read as on the day it was made
	then.verifier = w.op.Verifier(&oidc.Config{ClientID: w.ClientID, Now: func() time.Time { return k.Made }})
	if c, err := then.verify(k.IDToken); err != nil || c.Subject != claims.Subject {
		t.Errorf("an ID token of the key before: %+v, %v", c, err)
	}
	if active, _ := w.active(k.Access); !active {
		t.Error("the access token is dead")
	}
	if active, _ := w.active(k.Revoked); active {
		t.Error("a token that was revoked is alive")
	}
	if next, err := w.refresh(k.Refresh); err != nil {
		t.Errorf("refresh: %v", err)
	} else if w.userinfo(next)["sub"] != claims.Subject {
		t.Error("a refreshed token is somebody else's")
	}
	next, err := pocket.refresh(k.Current)
	if err != nil {
		t.Errorf("refresh with rotation: %v", err)
	} else if code, _ := oauthError(second(pocket.refresh(k.Rotated))); code != "invalid_grant" {
		t.Errorf("a refresh token of two before: %q", code)
	} else if code, _ := oauthError(second(pocket.refresh(next.RefreshToken))); code != "invalid_grant" {
		t.Errorf("the line of a refresh token that was stolen lives on: %q", code)
	}

	// The gateway and its children.
	g := &gateway{rp: newRP(t, o, "gateway", secret, "")}
	if active, seen := g.active(k.ChildToken); !active || seen["client_id"] != k.Child.ID {
		t.Errorf("a child's token: %v", seen)
	}
	if status, c, _ := g.rest("GET", k.Child.At, k.Child.Token, nil); status != 200 || c.Name != k.Child.Name {
		t.Errorf("GET of a child: %d %+v", status, c)
	}
	change := map[string]any{"client_id": k.Child.ID, "client_name": "Renamed", "redirect_uris": []string{"https://orders.example/new"}, "grant_types": k.Child.Grants, "scope": k.Child.Scope}
	if status, c, _ := g.rest("PUT", k.Child.At, k.Child.Token, change); status != 200 || c.Name != "Renamed" {
		t.Errorf("PUT of a child: %d %+v", status, c)
	}
	if _, err := g.token(k.Child, "orders"); err != nil {
		t.Errorf("a child's secret: %v", err)
	}
	if _, err := g.token(k.Shut, "orders"); err == nil {
		t.Error("a child that was blocked gets a token")
	}
	if status, c := g.register(k.Initial, map[string]any{"client_name": "New", "grant_types": []string{"client_credentials"}, "scope": "orders"}); status != 201 {
		t.Errorf("the initial access token: %d %+v", status, c)
	}
	batch := newRP(t, o, "batch", secret, "")
	if status, got := batch.call("/oauth2/token", map[string][]string{"grant_type": {"client_credentials"}, "scope": {"orders"}}); status != 200 {
		t.Errorf("client credentials: %d %v", status, got)
	}
}

// Before an SQLite file is migrated it is copied, and the copy is a way back: the old version runs on it as if nothing had
// happened. Nothing else is a way back from a schema that says it is too new.
func TestUpgradeAndBack(t *testing.T) {
	eachRelease(t, []string{storetest.SQLite}, func(t *testing.T, o *org, r *release, k *known) {
		file := filepath.Join(o.dir, "data", "lanyard.db")
		o.run("export")
		copies, _ := filepath.Glob(file + ".schema-*")
		if len(r.Migrations) == len(must(filepath.Glob(filepath.Join(migrationsIn, "*.sql")))) {
			if len(copies) != 0 {
				t.Errorf("nothing was migrated, and yet there are copies: %q", copies)
			}
			return
		}
		if len(copies) != 1 {
			t.Fatalf("copies made before migrating: %q", copies)
		}
		old := r.binary(t)
		back := &org{t: t, dir: t.TempDir(), url: k.URL, env: o.env}
		for i, e := range back.env {
			if strings.HasPrefix(e, "LANYARD_DATA=") {
				back.env[i] = "LANYARD_DATA=" + filepath.Join(back.dir, "data")
			}
		}
		if err := os.Mkdir(filepath.Join(back.dir, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(back.dir, "data", "lanyard.db"), must(os.ReadFile(copies[0])), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := back.command(old, "", nil, "export"); code != 0 || out != k.Export+"\n" {
			t.Errorf("%s does not read the copy: exit %d\n%s", r.Version, code, out)
		}
		v := back.spawn(old, "")
		back.nodes = append(back.nodes, v.node())
		k.holds(t, back)
		v.end()
	})
}
