package main_test

import (
	"strings"
	"testing"
)

// P11: keys move under a running server, and nobody who follows what is published notices.
func TestRotation(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		oidcOrg(t, o)
		o.apply(app("Your Benefits", "benefits.example", "", "groups: [staff]"))
		b, w, old := o.in("ana"), wellness(t, o), newSP(t, "benefits.example").meet(o)
		_, before := w.signIn(b.get(w.start()))
		if _, err, code := o.try("", "key", "rotate"); code != 1 || !strings.Contains(err, "24 h") {
			t.Errorf("a key that was announced just now: exit %d, %s", code, err)
		}
		kid := func(raw string) string { return strings.Split(raw, ".")[0] }
		first := before.Extra("id_token").(string)
		for range 2 {
			o.run("key", "rotate", "--force")
			_, after := w.signIn(b.get(w.start())) // verifies by the keys that are published now
			if kid(after.Extra("id_token").(string)) == kid(first) {
				t.Error("the key did not move")
			}
			if _, err := w.verify(first); err != nil {
				t.Errorf("P11: a token from before: %v", err)
			}
			if fresh := wellness(t, o); second(fresh.verify(first)) != nil {
				t.Error("P11: the old key is published no more")
			}
		}
		// SAML keys stay where they are until somebody says so, twice.
		q := old.request()
		old.accept(b.get(old.redirect(q, "")), q.ID)
		o.run("key", "rotate", "--use", "saml", "--yes")
		q = old.request()
		old.accept(b.get(old.redirect(q, "")), q.ID)
		knows := newSP(t, "benefits.example").meet(o) // both certificates are in the metadata now
		o.run("key", "rotate", "--use", "saml", "--yes", "--force")
		q = knows.request()
		knows.accept(b.get(knows.redirect(q, "")), q.ID)
		q = old.request()
		doc, _, _ := b.get(old.redirect(q, "")).saml()
		if _, err := old.ParseXMLResponse(doc, []string{q.ID}, old.AcsURL); err == nil {
			t.Error("the response is signed with the old key still")
		}
	})
}
