package api_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/api"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

func (h house) plan(t *testing.T, text, want string) {
	t.Helper()
	if got := strings.TrimSpace(h.apply(t, text)); got != want {
		t.Errorf("the plan is\n%s\nwant\n%s", got, want)
	}
}

// refused holds the faults of text to what is wanted, whether it is tried or meant.
func (h house) refused(t *testing.T, text, want string) {
	t.Helper()
	for _, dry := range []bool{true, false} {
		docs, faults := api.Decode("f", strings.NewReader(text))
		var err error = faults
		if len(faults) == 0 {
			_, err = h.Apply(t.Context(), h.org, docs, api.Options{DryRun: dry})
		}
		if err == nil || err.Error() != want {
			t.Errorf("dry %v: %v\nwant %s", dry, err, want)
		}
	}
}

func (h house) blocked(t *testing.T, name string) bool {
	t.Helper()
	c, err := h.Store.Apps().Find(t.Context(), h.org.ID, name)
	if err != nil {
		t.Fatal(err)
	}
	return c.Blocked()
}

// What changes is said key by key, old and new; secrets are not.
func TestApplyTellsWhatChanges(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		h.apply(t, "kind: User\nusername: boss\nroles: [admin]")
		h.apply(t, declared)
		for _, c := range []struct{ old, now, want string }{
			{"startURL: https://benefits.example.com/\n", "startURL: https://new.example.com/\n", "App/Your_Benefits startURL: https://benefits.example.com/ → https://new.example.com/"},
			{"contactEmail: hr@example.com\n", "", "App/Your_Benefits contactEmail: hr@example.com → (none)"},
			{"[https://benefits.example.com/bye]", "[https://benefits.example.com/bye2]", "App/Your_Benefits oauth.postLogoutRedirectURIs: [https://benefits.example.com/bye] → [https://benefits.example.com/bye2]"},
			{"  postLogoutRedirectURIs: [https://benefits.example.com/bye]\n", "", "App/Your_Benefits oauth.postLogoutRedirectURIs: [https://benefits.example.com/bye] → (none)"},
			{"visible: false", "visible: true", "App/Your_Benefits launcher.visible: false → true"},
			{"relayState: /home", "relayState: /other", "App/Your_Benefits saml.relayState: /home → /other"},
			{"validity: 10m", "validity: 5m", "App/Your_Benefits saml.validity: 10m → 5m"},
			{"a-secret-that", "another-secret", "App/Your_Benefits oauth.clientSecret: (secret) → (secret)"},
			{"lifetime: 30m", "lifetime: 1h", "App/Your_Benefits oauth.accessToken.lifetime: 30m → 1h"},
			{"limit: 5", "limit: 6", "App/Your_Benefits oauth.registration.limit: 5 → 6"},
			{"  groups: [finance]\n  users:", "  users:", "App/Your_Benefits policy.groups: [finance] → (none)"},
			{", until: 2027-01-31", "", "App/Your_Benefits policy.users: [{user: ana, until: 2027-01-31}, {user: svc}] → [{user: ana}, {user: svc}]"},
			{"givenName: Ana\n", "givenName: Anna\n", "User/ana givenName: Ana → Anna"},
			{"sites: [Berlin, Porto]", "sites: [Porto]", "User/ana attributes.sites: [Berlin, Porto] → Porto"},
			{"groups: [finance, legal]", "groups: [finance]", "User/ana groups: [finance, legal] → [finance]"},
			{"givenName: Ana\n", "givenName: Ana\nactive: false\n", "User/ana active: true → false"},
			{"label: Read your orders", "label: Your orders", "Scope/orders label: Read your orders → Your orders"},
		} {
			changed := strings.Replace(declared, c.old, c.now, 1)
			if changed == declared {
				t.Fatalf("%q does not occur", c.old)
			}
			h.plan(t, changed, "~ "+c.want+"\n0 to add, 1 to change, 0 to delete")
			h.plan(t, changed, "no changes")
			if back := h.apply(t, declared); !strings.HasSuffix(back, "\n0 to add, 1 to change, 0 to delete\n") {
				t.Errorf("%q, and back: %s", c.now, back)
			}
		}
		counts := map[string]int{}
		events, err := h.Store.Events().List(t.Context(), h.org.ID, store.EventFilter{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			counts[e.Code]++
			if strings.Contains(e.Reason, "another-secret") || strings.Contains(e.Reason, "battery") {
				t.Errorf("an event tells a secret: %+v", e)
			}
		}
		for code, want := range map[string]int{"deactivateUser": 1, "activateUser": 1, "changeUserRuntimeAccessPolicy": 4, "changeScope": 2} {
			if counts[code] != want {
				t.Errorf("%d events %s, want %d", counts[code], code, want)
			}
		}
	})
}

// A user is found by username only: a declaration that has somebody's e-mail address for a username is no change of that
// somebody.
func TestApplyUserByEmail(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		h.plan(t, "{kind: User, username: ana, email: ana@example.com}", "+ User/ana\n1 to add, 0 to change, 0 to delete")
		h.refused(t, "{kind: User, username: ana@example.com}", `f:1: username: "ana@example.com" is taken by ana`)
		h.refused(t, "{kind: User, username: ben, email: Ana@Example.com}", `f:1: email: "Ana@Example.com" is taken by ana`)
		h.plan(t, "{kind: User, username: ANA, email: ana@example.com}", "~ User/ANA username: ana → ANA\n0 to add, 1 to change, 0 to delete")
	})
}

// What would be read as "no limit", "without end" or "the default" and was not meant so is refused.
func TestApplyNothingIsNotEverything(t *testing.T) {
	h := declarer(t, storetest.New(t, storetest.SQLite))
	h.apply(t, "{kind: User, username: ana}")
	const day = " must be a day like 2027-01-31 or a time like 2027-01-31T12:00:00Z"
	h.refused(t, "kind: App\nname: x\npolicy:\n  users: [{user: ana, until: 0000-12-31}]", "f:4: policy.users[0].until"+day)
	h.refused(t, "kind: App\nname: x\npolicy:\n  users: [{user: ana, until: 9999-12-31}]", "f:4: policy.users[0].until"+day)
	h.refused(t, "kind: App\nname: x\noauth:\n  accessToken: {lifetime: 0s}", "f:4: oauth.accessToken.lifetime must be longer than nothing; leave the key out for its default")
	h.refused(t, "kind: App\nname: x\noauth:\n  type: service\n  registration: {limit: 0, grants: [client_credentials], runAs: auto}",
		"f:5: oauth.registration.limit: 0 is not between 1 and 100000")
	h.refused(t, "kind: App\nname: x\npolicy:\n  users: [{until: 2027-01-31}]", "f:4: policy.users[0].user: say who")
	h.refused(t, "kind: User\nusername: x\ngroups: ['']", `f:3: groups[0]: there is no Group ""`)
}

// A file is found beside the declaration that names it; its bytes are kept, and exported as they were.
func TestApplyMetadataFile(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		dir := t.TempDir()
		write := func(acs string) []byte {
			b := []byte("<EntityDescriptor xmlns='urn:oasis:names:tc:SAML:2.0:metadata' entityID='https://sp.example.com/meta'>\r\n" +
				"\t<SPSSODescriptor protocolSupportEnumeration='urn:oasis:names:tc:SAML:2.0:protocol'><AssertionConsumerService " +
				"Binding='urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST' Location='" + acs + "' index='0'/></SPSSODescriptor></EntityDescriptor>\n\n")
			if err := os.WriteFile(filepath.Join(dir, "sp.xml"), b, 0o600); err != nil {
				t.Fatal(err)
			}
			return b
		}
		declare := func(text string, o api.Options) (string, error) {
			docs, faults := api.Decode(filepath.Join(dir, "org.yaml"), strings.NewReader(text))
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			p, err := h.Apply(t.Context(), h.org, docs, o)
			if err != nil {
				return "", err
			}
			return p.String(), nil
		}
		const app = "kind: App\nname: SP\nsaml: {metadata: {file: sp.xml}}\npolicy: {permittedUsers: self-authorize}\n"
		b := write("https://sp.example.com/acs")
		if got, err := declare(app, api.Options{}); !strings.HasPrefix(got, "+ App/SP\n! App/SP: The service provider has no key") || !strings.HasSuffix(got, "\n1 to add, 0 to change, 0 to delete\n") {
			t.Error(got, err)
		}
		if got, err := declare(app, api.Options{}); got != "no changes\n" {
			t.Error(got, err)
		}
		c, err := h.Store.Apps().Find(t.Context(), h.org.ID, "SP")
		if err != nil {
			t.Fatal(err)
		}
		if kept, err := h.Store.Apps().Metadata(t.Context(), h.org.ID, c.App.ID); err != nil || string(kept) != string(b) {
			t.Errorf("kept %q (%v)", kept, err)
		}
		h.plan(t, h.export(t), "no changes")
		other := declarer(t, storetest.New(t, storetest.SQLite))
		other.apply(t, h.export(t))
		if other.export(t) != h.export(t) {
			t.Errorf("exported there\n%s\nand here\n%s", other.export(t), h.export(t))
		}
		write("https://sp.example.com/acx")
		if got, err := declare(app, api.Options{}); !strings.Contains(got, "~ App/SP saml.metadata: sha256 ") || !strings.HasSuffix(got, "\n0 to add, 1 to change, 0 to delete\n") {
			t.Error(got, err)
		}
		if c, err = h.Store.Apps().Find(t.Context(), h.org.ID, "SP"); err != nil || c.App.SAML.ACS[0].URL != "https://sp.example.com/acx" {
			t.Error(c.App.SAML, err)
		}
		for text, want := range map[string]string{
			"metadata: {file: none.xml}":                "there is no file " + filepath.Join(dir, "none.xml"),
			"metadata: {url: \"https://x.example\"}":    "no way out",
			"metadata: {file: a, url: b}":               "say file, url or inline, one of them",
			"metadata: {}":                              "say file, url or inline, one of them",
			"entityID: other, metadata: {file: sp.xml}": `"other"`,
		} {
			_, err := declare("kind: App\nname: T\nsaml: {"+text+"}\n", api.Options{})
			if err == nil || !strings.Contains(err.Error(), "org.yaml:3: saml.") || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", text, err, want)
			}
		}
		if _, err := declare(app, api.Options{InlineFiles: true}); err == nil || !strings.Contains(err.Error(), "a file can not be read here; put it inline") {
			t.Error(err)
		}
	})
}

// A block is declared and never lifted by a declaration; what is exported of a blocked app declares it blocked.
func TestApplyBlocked(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		const app, policy = "kind: App\nname: Wiki\nstartURL: https://wiki.example.com/\n", "policy: {permittedUsers: self-authorize, blocked: true}\n"
		open := strings.Replace(policy, "true", "false", 1)
		h.plan(t, app+open, "+ App/Wiki\n1 to add, 0 to change, 0 to delete")
		h.plan(t, app+policy, "~ App/Wiki policy.blocked: false → true\n0 to add, 1 to change, 0 to delete")
		h.plan(t, app+policy, "no changes")
		h.plan(t, h.export(t), "no changes")
		h.plan(t, app+open, "! App/Wiki stays blocked: a declaration does not unblock; run: lanyard app unblock Wiki\nno changes")
		h.plan(t, app+"policy: {permittedUsers: self-authorize}\n", "no changes")
		if !h.blocked(t, "Wiki") {
			t.Error("a declaration lifted the block")
		}
		const nobody = "! App/Wiki is open to nobody: it has no policy\n"
		h.plan(t, app, "~ App/Wiki policy.permittedUsers: self-authorize → (none)\n"+nobody+"0 to add, 1 to change, 0 to delete")
		if !h.blocked(t, "Wiki") {
			t.Error("its policy was taken away, and its block with it")
		}
		h.plan(t, app, nobody+"no changes")
		h.plan(t, h.export(t), nobody+"no changes")
		other := declarer(t, storetest.New(t, storetest.SQLite))
		other.plan(t, h.export(t), "+ App/Wiki\n"+nobody+"1 to add, 0 to change, 0 to delete")
		if !other.blocked(t, "Wiki") {
			t.Errorf("a blocked app came out open of\n%s", h.export(t))
		}
	})
}

// One thing is exported as it stands in the whole.
func TestExportOne(t *testing.T) {
	h := declarer(t, storetest.New(t, storetest.SQLite))
	h.apply(t, declared)
	all := "---\n" + h.export(t)
	for _, one := range []string{"App/Your_Benefits", "User/ana", "User/ana@example.com", "Group/finance", "Scope/orders"} {
		docs, err := api.Export(t.Context(), h.Store, h.org, one)
		if err != nil {
			t.Errorf("%s: %v", one, err)
			continue
		}
		b, err := api.YAML(docs)
		if err != nil || len(docs) != 1 || !strings.Contains(all, "---\n"+string(b)) {
			t.Errorf("%s: %v\n%s", one, err, b)
		}
		v, err := api.JSON(docs[0])
		if m, ok := v.(map[string]any); err != nil || !ok || m["kind"] != strings.Split(one, "/")[0] {
			t.Errorf("%s as JSON: %v %v", one, v, err)
		}
	}
	for one, want := range map[string]string{
		"App/Nobody": "there is no App/Nobody", "User/nobody": "there is no User/nobody", "Group/x": "there is no Group/x",
		"Grup/finance": `unknown kind "Grup" (did you mean "Group"?)`,
		"finance":      `"finance" does not say what to export; write KIND/NAME, like App/Your_Benefits`,
		"App/":         `"App/" does not say what to export; write KIND/NAME, like App/Your_Benefits`,
	} {
		if _, err := api.Export(t.Context(), h.Store, h.org, one); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", one, err, want)
		}
	}
}

// DOS-07: aliases that multiply, and depth without end, cost nothing.
func TestDecodeBombs(t *testing.T) {
	bomb := "kind: User\nattributes:\n  a: &a [x, x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += "  " + string(c) + ": &" + string(c) + " [*" + string(c-1) + ", *" + string(c-1) + "]\n"
	}
	deep := "kind: App\nsaml: " + strings.Repeat("[", 100_000)
	for name, text := range map[string]string{"aliases": bomb, "depth": deep, "flow depth": "kind: App\nsaml: " + strings.Repeat("{a: ", 100_000)} {
		began := time.Now()
		if _, faults := api.Decode("f", strings.NewReader(text)); len(faults) == 0 {
			t.Errorf("%s: taken", name)
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("%s: refused after %s", name, d)
		}
	}
}

// ADM-11: a declaration takes the last administrator away neither when it is tried nor when it is meant; another in its
// place is as good, whichever comes first.
func TestApplyKeepsAnAdmin(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		h.apply(t, "kind: User\nusername: ana\nroles: [admin]")
		before := h.export(t)
		for _, text := range []string{"", "roles: []", "active: false", "type: service"} {
			doc := "kind: User\nusername: ana\nroles: [admin]\n"
			if text == "" || text == "roles: []" {
				doc = "kind: User\nusername: ana\n"
			}
			docs, faults := api.Decode("f", strings.NewReader(doc+text))
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			for _, dry := range []bool{true, false} {
				if _, err := h.Apply(t.Context(), h.org, docs, api.Options{DryRun: dry}); !errors.Is(err, store.ErrLastAdmin) {
					t.Errorf("%q, dry %v: %v", text, dry, err)
				}
			}
		}
		if after := h.export(t); after != before {
			t.Errorf("something changed:\n%s", after)
		}
		h.apply(t, "kind: User\nusername: ana\n---\nkind: User\nusername: ben\nroles: [admin]")
	})
}

// ACS that are declared without an index keep the place they stand at, or get the lowest that nobody wrote.
func TestACSIndexes(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		for name, c := range map[string]struct {
			acs  string
			want []int
		}{
			"none written":        {"[{url: 'https://x/a'}, {url: 'https://x/b'}]", []int{0, 1}},
			"the second's":        {"[{url: 'https://x/a', index: 1}, {url: 'https://x/b'}]", []int{1, 0}},
			"the first's":         {"[{url: 'https://x/a'}, {url: 'https://x/b', index: 0}]", []int{1, 0}},
			"a later one's":       {"[{url: 'https://x/a'}, {url: 'https://x/b'}, {url: 'https://x/c', index: 1}]", []int{0, 2, 1}},
			"kept where they are": {"[{url: 'https://x/a', index: 3}, {url: 'https://x/b'}]", []int{3, 1}},
			"the largest":         {"[{url: 'https://x/a', index: 65535}, {url: 'https://x/b'}]", []int{65535, 1}},
		} {
			h.apply(t, "kind: App\nname: SP\nsaml: {entityID: 'https://x', acs: "+c.acs+"}\npolicy: {permittedUsers: self-authorize}")
			a, err := h.Store.Apps().Find(t.Context(), h.org.ID, "SP")
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, e := range a.App.SAML.ACS {
				got = append(got, e.Index)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s: %v, want %v", name, got, c.want)
			}
			h.plan(t, h.export(t), "no changes")
		}
		for _, bad := range []string{"-1", "65536"} {
			h.refused(t, "kind: App\nname: SP\nsaml: {entityID: 'https://x', acs: [{url: 'https://x/a', index: "+bad+"}]}",
				"f:3: saml.acs[0].index: "+bad+" is not between 0 and 65535")
		}
		h.refused(t, "kind: App\nname: SP\nsaml:\n  entityID: https://x\n  acs: [{url: 'https://x/a'}]\n  encryption: {mode: required}", "f:6: saml.encryption {mode: …} is not supported yet; there is off")
		h.refused(t, "kind: App\nname: SP\nsaml:\n  entityID: https://x\n  acs: [{url: 'https://x/a'}]\n  encryption: required", `f:6: saml.encryption: "required" is not supported yet; there is off`)
		h.refused(t, "kind: App\nname: SP\nsaml:\n  entityID: https://x\n  acs: [{url: 'https://x/a'}]\n  encryption: [off]", "f:6: saml.encryption must be a text")
	})
}
