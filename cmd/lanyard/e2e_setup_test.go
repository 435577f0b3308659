package main_test

import (
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// Two nodes behind a proxy, at an address with a path: both print one and the same link, also when one starts again. A link
// that signs somebody in leads there too.
func TestSetupOnTwoNodes(t *testing.T) {
	t.Parallel()
	o := newOrg(t, storetest.Postgres)
	args := []string{"--url", "https://sso.example.com/sso", "--trusted-proxies", "127.0.0.1"}
	first := o.setupLink(o.serve(args...))
	second := o.setupLink(o.serve(args...))
	o.nodes[0].stop()
	again := o.setupLink(o.serve(args...))
	if !strings.HasPrefix(first, "https://sso.example.com/sso/setup?link=") || second != first || again != first {
		t.Errorf("%q, %q and %q", first, second, again)
	}
	if _, stderr, code := o.try("", "user", "create", "rosa"); code != 0 || !strings.Contains(stderr, "lanyard user grant-admin rosa") {
		t.Errorf("a user who is no administrator: %d %q", code, stderr)
	}
	if _, stderr, code := o.try("", "user", "create", "ruth", "--admin"); code != 0 || stderr != "" {
		t.Errorf("an administrator: %d %q", code, stderr)
	}
	if link := o.line("user", "signin-link", "rosa"); !strings.HasPrefix(link, "https://sso.example.com/sso/signin/link?link=") {
		t.Errorf("the link %q", link)
	}
	if n := o.serve(args...); setupLink.MatchString(n.log.String()) {
		t.Error("a link where there are people")
	}
}

// A sign-in link below a path, at the binary: opened, said yes to, once; what it proves is told to an app.
func TestSignInLinkBelowAPath(t *testing.T) {
	each(t, func(t *testing.T, o *org) {
		o.apply(person("ana", ""), client("Notes", "notes", "https://notes.example/cb",
			"clientSecret: {plain: "+secret+"}\nscopes: [openid]\nflows: {authorizationCode: true}", "{users: [{user: ana}]}"))
		addr := freeAddr(t)
		o.url = "http://" + addr + "/sso"
		o.serve("--listen", addr, "--url", o.url)
		link := o.line("user", "signin-link", "ana")
		b := o.browser()
		p := b.get(link)
		if p.status != 200 || !strings.Contains(p.body, "signs you in as ana, once, without a password") {
			t.Fatalf("the page: %d\n%s", p.status, p.body)
		}
		if p = b.fill(p, "decision", "allow"); p.status != 200 || p.url.Path != "/sso/apps" {
			t.Fatalf("after it: %d %s", p.status, p.url)
		}
		n := newRP(t, o, "notes", secret, "https://notes.example/cb", "openid")
		id, _ := n.signIn(b.get(n.start()))
		if id.ACR != "" || id.all["amr"] != nil {
			t.Errorf("it is said to prove %q %v", id.ACR, id.all["amr"])
		}
		o.browser().get(link).refused(t, "used", 404)
		for code, user := range map[string]string{"insertSigninLink": "ana", "SigninLinkUiLogin": "ana"} {
			if all := o.events("--code", code); len(all) != 1 || all[0].User != user {
				t.Errorf("%s: %+v", code, all)
			}
		}
	})
}
