package api_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/api"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/people"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files")

type house struct {
	*api.Declarer
	org *idp.Org
}

func each(t *testing.T, f func(t *testing.T, h house)) {
	t.Helper()
	storetest.Each(t, func(t *testing.T, st *store.Store) { f(t, declarer(t, st)) })
}

func declarer(t *testing.T, st *store.Store) house {
	t.Helper()
	h := house{&api.Declarer{
		Store: st, Apps: &apps.Apps{Store: st}, People: people.New(st), Sealer: storetest.Sealer(t),
		Fetch: func(context.Context, string, int64) ([]byte, error) { return nil, errors.New("no way out") },
	}, &idp.Org{Name: store.DefaultOrg, URL: "https://id.example.com"}}
	if err := st.Orgs().AddOrg(t.Context(), h.org); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h house) try(t *testing.T, text string, o api.Options) (*api.Plan, error) {
	t.Helper()
	docs, faults := api.Decode("f", strings.NewReader(text))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return h.Apply(t.Context(), h.org, docs, o)
}

func (h house) apply(t *testing.T, text string) string {
	t.Helper()
	p, err := h.try(t, text, api.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p.String()
}

func (h house) export(t *testing.T) string {
	t.Helper()
	docs, err := api.Export(t.Context(), h.Store, h.org, "")
	if err != nil {
		t.Fatal(err)
	}
	b, err := api.YAML(docs)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Applied twice it is the same; what is exported declares the same, here and in an empty house.
func TestApplyExport(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		if p, err := h.try(t, declared, api.Options{DryRun: true}); err != nil || p.Add != 11 {
			t.Fatalf("dry run: %v, %v", p, err)
		}
		if got := h.export(t); got != "" {
			t.Fatalf("a dry run made\n%s", got)
		}
		if got := h.apply(t, declared); !strings.Contains(got, "11 to add, 0 to change, 0 to delete") {
			t.Errorf("first: %s", got)
		}
		if got := h.apply(t, declared); got != "no changes\n" {
			t.Errorf("second: %s", got)
		}
		exported := h.export(t)
		golden(t, "testdata/export.yaml", exported)
		for _, secret := range []string{"battery", "long-enough", "argon2"} {
			if strings.Contains(exported, secret) {
				t.Errorf("ADM-04: the export holds %q", secret)
			}
		}
		if got := h.apply(t, exported); got != "no changes\n" {
			t.Errorf("what was exported changes: %s", got)
		}
		other := declarer(t, storetest.New(t, storetest.SQLite))
		other.apply(t, exported)
		if diff := cmp.Diff(exported, other.export(t)); diff != "" {
			t.Errorf("exported from a house made of the export:\n%s", diff)
		}
	})
}

// golden compares with a file that holds every key there is, so that none is lost on its way through the store.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(got), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// On any fault, even one that only the database sees, nothing is changed.
func TestApplyAtomic(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		h.apply(t, declared)
		before := h.export(t)
		for name, c := range map[string]struct{ text, want string }{
			"reference":    {"kind: Group\nname: new\n---\nkind: User\nusername: ana\ngroups: [nowhere]", `f:6: groups[0]: there is no Group "nowhere"`},
			"address":      {"kind: Group\nname: new\n---\nkind: User\nusername: cy\nemail: ANA@example.com", `f:6: email: "ANA@example.com" is taken by ana`},
			"client ID":    {"kind: Group\nname: new\n---\nkind: App\nname: Spa\noauth: {clientID: other}", "f:6: oauth.clientID: "},
			"built in":     {"kind: Group\nname: new\n---\nkind: Scope\nname: openid", `f:5: name: the scope "openid" is built in`},
			"twice":        {"kind: Group\nname: new\n---\nkind: Group\nname: new", `f:5: name: Group "new" is declared twice`},
			"no name":      {"kind: Group\nname: new\n---\nkind: User\nemail: a@b.example", `f:4: the User has no username`},
			"another org":  {"kind: Group\nname: new\norg: acme", `f:3: org: "acme" is not supported yet; there is one org, "default"`},
			"open and not": {"kind: Group\nname: new\n---\nkind: App\nname: X\nsaml: {entityID: \"https://x\", acs: [{url: \"https://x.example/acs\"}]}\npolicy: {permittedUsers: self-authorize, groups: [new]}", "f:7: policy.groups: "},
			"password":     {"kind: Group\nname: new\n---\nkind: User\nusername: cy\npassword: {plain: short}", "f:6: password.plain: "},
			"hash":         {"kind: Group\nname: new\n---\nkind: User\nusername: cy\npassword: {hash: nonsense}", "f:6: password.hash: "},
		} {
			t.Run(name, func(t *testing.T) {
				for _, dry := range []bool{true, false} {
					_, err := h.try(t, c.text, api.Options{DryRun: dry})
					var faults api.Faults
					if !errors.As(err, &faults) || !strings.HasPrefix(faults[0].Error(), c.want) {
						t.Errorf("dry %v: %v, want %s", dry, err, c.want)
					}
				}
				if diff := cmp.Diff(before, h.export(t)); diff != "" {
					t.Errorf("changed:\n%s", diff)
				}
			})
		}
	})
}

// A person's own password stays until the file's own value changes.
func TestApplyPassword(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		with := func(p string) string { return "kind: User\nusername: ana\npassword: {plain: " + p + "}" }
		is := func(p string) bool {
			t.Helper()
			u, err := h.Store.People().ByName(t.Context(), h.org.ID, "ana")
			if err != nil {
				t.Fatal(err)
			}
			ok, _, err := h.People.Check(t.Context(), u.Password, p)
			if err != nil {
				t.Fatal(err)
			}
			return ok
		}
		h.apply(t, with("first battery horse"))
		if !is("first battery horse") {
			t.Fatal("the declared password is not set")
		}
		u, err := h.Store.People().ByName(t.Context(), h.org.ID, "ana")
		if err != nil {
			t.Fatal(err)
		}
		own, err := h.People.Hash(t.Context(), "my own battery horse")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Store.Write(t.Context(), func(tx *store.Tx) error { return h.People.PutPassword(t.Context(), tx, u, own) }); err != nil {
			t.Fatal(err)
		}
		if got := h.apply(t, with("first battery horse")); got != "no changes\n" || !is("my own battery horse") {
			t.Errorf("the same file again: %s", got)
		}
		if got := h.apply(t, with("second battery horse")); !strings.Contains(got, "password: (secret) → (secret)") || !is("second battery horse") {
			t.Errorf("another value in the file: %s", got)
		}
		if got := h.apply(t, "kind: User\nusername: ana"); got != "no changes\n" || !is("second battery horse") {
			t.Errorf("no value in the file: %s", got)
		}
	})
}

// Values that look alike in a plan's short form are told apart all the same.
func TestApplyComparesToTheByte(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		long := strings.Repeat("x", 150)
		h.apply(t, "kind: Group\nname: g\ndescription: "+long+"a")
		if got := h.apply(t, "kind: Group\nname: g\ndescription: "+long+"b"); !strings.Contains(got, "0 to add, 1 to change") {
			t.Errorf("a change far behind: %s", got)
		}
		h.apply(t, `{kind: User, username: u, attributes: {a: ["x, y", z]}}`)
		if got := h.apply(t, `{kind: User, username: u, attributes: {a: [x, "y, z"]}}`); !strings.Contains(got, "0 to add, 1 to change") {
			t.Errorf("another list: %s", got)
		}
	})
}

// Of applies at once each is whole: all of its documents or none.
func TestApplyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		var wait sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			docs, faults := api.Decode("f", strings.NewReader(declared))
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			wait.Go(func() { _, errs[i] = h.Apply(context.Background(), h.org, docs, api.Options{}) })
		}
		wait.Wait()
		ok := 0
		for _, err := range errs {
			var faults api.Faults
			switch {
			case err == nil:
				ok++
			case !errors.As(err, &faults):
				t.Errorf("%v, want a fault that says what is taken", err)
			}
		}
		if ok == 0 {
			t.Errorf("none of them was done: %v", errs)
		}
		if got := h.apply(t, declared); got != "no changes\n" {
			t.Errorf("afterwards: %s", got)
		}
	})
}

// Nothing is pruned that another set made, that a person made, or that the documents name.
func TestPrune(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		const theirs = "kind: App\nname: Theirs\nsaml: {entityID: \"https://their.example\", acs: [{url: \"https://their.example/acs\"}]}\n---\nkind: Group\nname: theirs\n---\nkind: User\nusername: them\nroles: [admin]"
		if _, err := h.try(t, theirs, api.Options{Set: "other"}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.try(t, declared, api.Options{Set: "mine"}); err != nil {
			t.Fatal(err)
		}
		asked := 0
		o := api.Options{Set: "mine", Prune: true, Confirm: func(p *api.Plan) (bool, error) { asked = p.Delete; return false, nil }}
		before := h.export(t)
		if _, err := h.try(t, "kind: Group\nname: finance", o); !errors.Is(err, api.ErrDeclined) || asked != 8 {
			t.Errorf("declined: %v, asked of %d", err, asked)
		}
		if diff := cmp.Diff(before, h.export(t)); diff != "" {
			t.Errorf("declined, and changed:\n%s", diff)
		}
		o.Confirm = nil
		if _, err := h.try(t, "kind: Group\nname: finance", o); err != nil {
			t.Fatal(err)
		}
		o.PruneUsers = true
		p, err := h.try(t, "kind: Group\nname: finance", o)
		if err != nil || p.String() != "- User/ana\n- User/svc\n0 to add, 0 to change, 2 to delete\n" {
			t.Errorf("users: %v, %v", p, err)
		}
		if left := strings.Split(h.export(t), "---\n"); len(left) != 4 || !strings.Contains(left[0], "finance") || !strings.Contains(left[1], "theirs") ||
			!strings.Contains(left[2], "them") || !strings.Contains(left[3], "Theirs") {
			t.Errorf("left: %q", left)
		}
	})
}

// A block outlives every declaration: a policy that changes, goes, and comes back.
func TestBlockIsKept(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		app := "kind: App\nname: A\nsaml: {entityID: \"https://a.example\", acs: [{url: \"https://a.example/acs\"}]}\n"
		h.apply(t, app+"policy: {permittedUsers: self-authorize, blocked: true}")
		for _, policy := range []string{"policy: {permittedUsers: self-authorize}", "policy: {}", "", "policy: {permittedUsers: self-authorize, blocked: false}"} {
			h.apply(t, app+policy)
			c, err := h.Store.Apps().ConnectedByName(t.Context(), h.org.ID, "A")
			if err != nil || !c.Blocked() {
				t.Errorf("with %q it is not blocked (%v)", policy, err)
			}
		}
	})
}
