package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/api"
)

// SURFACE.md §1: "Errors read FILE:LINE: unknown key …"; every fault is told at once, with the place where it stands.
func TestDecodeFaults(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nearest key": {
			"kind: App\nname: x\npolicy:\n  permitedUsers: everyone\n",
			[]string{`f.yaml:4: unknown key "permitedUsers" (did you mean "permittedUsers"?)`},
		},
		"nothing near":       {"kind: App\nname: x\nzzzzzzzz: 1\n", []string{`f.yaml:3: unknown key "zzzzzzzz"`}},
		"all at once":        {"kind: User\nusrname: a\n---\nkind: App\nnam: b\n", []string{`f.yaml:2: unknown key "usrname" (did you mean "username"?)`, `f.yaml:5: unknown key "nam" (did you mean "name"?)`}},
		"given twice":        {"kind: User\nusername: a\nusername: b\n", []string{`f.yaml:3: key "username" is given twice`}},
		"given twice inside": {"kind: User\nusername: a\nattributes:\n  b: x\n  b: y\n", []string{`f.yaml:5: key "b" is given twice`}},
		"no kind":            {"username: a\n", []string{"f.yaml:1: the document has no kind; it is one of User, Group, Profile, PermissionSet, Scope, App"}},
		"unknown kind":       {"kind: Usr\n", []string{`f.yaml:1: unknown kind "Usr" (did you mean "User"?)`}},
		"later kind":         {"kind: Org\nname: acme\n", []string{"f.yaml:1: kind Org is not supported yet"}},
		"no mapping":         {"- kind: User\n", []string{"f.yaml:1: a document must be a mapping with a kind, like `kind: App`"}},
		"type of a text":     {"kind: User\nusername: [a]\n", []string{"f.yaml:2: username must be a text"}},
		"type of a switch":   {"kind: User\nusername: a\nactive: yes please\n", []string{"f.yaml:3: active must be true or false"}},
		"type of a number":   {"kind: App\nname: a\nlauncher: {order: first}\n", []string{"f.yaml:3: launcher.order must be a whole number"}},
		"type of a list":     {"kind: User\nusername: a\ngroups: finance\n", []string{"f.yaml:3: groups must be a list"}},
		"type of a mapping":  {"kind: App\nname: a\nsaml: true\n", []string{"f.yaml:3: saml must be a mapping of keys to values"}},
		"type of a value":    {"kind: User\nusername: a\nattributes: {x: {y: z}}\n", []string{"f.yaml:3: attributes.x must be a text or a list of texts"}},
		"nothing for a text": {"kind: User\nusername: a\ngroups: [null]\n", []string{"f.yaml:3: groups[0] must be a text"}},
		"duration":           {"kind: App\nname: a\nsaml:\n  skew: soon\n", []string{`f.yaml:4: saml.skew "soon" is no duration; write it like 90s, 15m, 2h or 30d`}},
		"no duration at all": {"kind: App\nname: a\noauth:\n  accessToken: {lifetime: 0s}\n", []string{"f.yaml:4: oauth.accessToken.lifetime must be longer than nothing; leave the key out for its default"}},
		"day":                {"kind: App\nname: a\npolicy:\n  users: [{user: b, until: tomorrow}]\n", []string{"f.yaml:4: policy.users[0].until must be a day like 2027-01-31 or a time like 2027-01-31T12:00:00Z"}},
		// Read as it stands, that day would end where Go's zero time begins, which means "without end".
		"day before all days": {"kind: App\nname: a\npolicy:\n  users: [{user: b, until: 0000-12-31}]\n", []string{"f.yaml:4: policy.users[0].until must be a day like 2027-01-31 or a time like 2027-01-31T12:00:00Z"}},
		"authnContext":        {"kind: App\nname: a\nsaml: {authnContext: loose}\n", []string{"f.yaml:3: saml.authnContext must be lenient, strict, or {always: URN}"}},
		"alias":               {"kind: User\nusername: &a ana\nemail: *a\n", []string{"f.yaml:3: aliases are not taken; write the value out"}},
		"unknown alias":       {"kind: User\nusername: *a\n", []string{"f.yaml:2: aliases are not taken; write the value out, or quote a text that begins with *"}},
		"no YAML":             {"kind: User\n  username: a\n", []string{"f.yaml:2: this is not YAML: mapping values are not allowed in this context"}},
		"no text":             {"kind: User\nusername: \"\xff\"\n", []string{"f.yaml: not UTF-8"}},
		"profile, later":      {"kind: Profile\nname: a\nipRanges: [\"10.0.0.0/8\"]\npermissions: [api]\n", []string{"f.yaml:3: ipRanges is not supported yet", "f.yaml:4: permissions is not supported yet"}},
		"user, later":         {"kind: User\nusername: a\ntotp: {plain: ABC}\nfrozen: true\n", []string{"f.yaml:3: totp is not supported yet", "f.yaml:4: frozen is not supported yet"}},
		"policy, later": {
			"kind: App\nname: a\npolicy:\n  ipRelaxation: enforce\n  session: {level: standard}\n  refreshToken: until-revoked\n",
			[]string{"f.yaml:4: policy.ipRelaxation is not supported yet", "f.yaml:5: policy.session is not supported yet", "f.yaml:6: policy.refreshToken is not supported yet"},
		},
		"flow, later": {"kind: App\nname: a\noauth:\n  flows:\n    device: true\n", []string{"f.yaml:5: oauth.flows.device is not supported yet"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, faults := api.Decode("f.yaml", strings.NewReader(c.text))
			var got []string
			for _, f := range faults {
				got = append(got, f.Error())
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// A switch that is off and a list that is empty ask for nothing, so they are taken although what they switch is not built.
func TestDecodeNothingAsked(t *testing.T) {
	docs, faults := api.Decode("-", strings.NewReader(`
# only a comment
---
kind: App
name: x
logo:
saml: {slo: []}
oauth:
  postLogoutRedirectURIs: []
  jwks: {}
  flows: {device: false, implicit: null}
policy:
  ipRanges: []
`))
	if len(faults) > 0 || len(docs) != 1 {
		t.Fatalf("%d documents, %v", len(docs), faults)
	}
	if at := docs[0].At("oauth.flows.device"); at != "-:11" {
		t.Errorf("oauth.flows.device is at %s", at)
	}
	if at := docs[0].At("policy.users[3].until"); at != "-:12" {
		t.Errorf("what is not written is at %s, want the nearest above it", at)
	}
}

// JSON is YAML.
func TestDecodeJSON(t *testing.T) {
	docs, faults := api.Decode("a.json", strings.NewReader("{\"kind\": \"User\",\n\t\"username\": \"ana\", \"attributes\": {\"site\": [\"a\", \"b\"]}}"))
	if len(faults) > 0 || len(docs) != 1 {
		t.Fatalf("%d documents, %v", len(docs), faults)
	}
	if u := docs[0].Value.(*api.UserDoc); u.Username != "ana" || len(u.Attributes["site"]) != 2 {
		t.Errorf("%+v", u)
	}
}

func TestDecodeTooMuch(t *testing.T) {
	if _, f := api.Decode("f.yaml", strings.NewReader(strings.Repeat("# comment\n", 4<<20))); len(f) != 1 || f[0].Error() != "f.yaml: larger than 32 MiB" {
		t.Error(f)
	}
	deep := "kind: User\nusername: a\nattributes: " + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "\n"
	if _, f := api.Decode("f.yaml", strings.NewReader(deep)); len(f) == 0 {
		t.Error("nested 20,000 deep and taken")
	}
	bomb := "a: &a [x, x]\n"
	for c := 'b'; c < 'z'; c++ {
		bomb += string(c) + ": &" + string(c) + " [*" + string(c-1) + ", *" + string(c-1) + "]\n"
	}
	began := time.Now()
	if _, f := api.Decode("f.yaml", strings.NewReader("kind: User\nattributes:\n  "+strings.ReplaceAll(bomb, "\n", "\n  "))); len(f) == 0 {
		t.Error("a bomb of aliases was taken")
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("it took %s to refuse a bomb of aliases", d)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "15m": 15 * time.Minute, "2h": 2 * time.Hour, "30d": 720 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0,
	} {
		if got, err := api.ParseDuration(text); err != nil || got != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "1", "-1d", "1d-2h", "-1h", "1.5d", "40000d", "1 h", "1w", "1d2d", "99999999999999999999h"} {
		if got, err := api.ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
}

// seeds are one text for each kind of thing that can be written; the fuzz test begins with them, and each must be as it says.
var seeds = []struct {
	good bool
	text string
}{
	{true, "kind: User\nusername: ana\nemail: ana@example.com\nactive: false\ngroups: [a, b]\nattributes: {x: y, z: [1, 2]}\npassword: {plain: secret words}\n"},
	{true, "kind: Group\nname: a\n---\nkind: Profile\nname: b\n---\nkind: PermissionSet\nname: c\n---\nkind: Scope\nname: d\nlabel: e\naudience: f\n"},
	{true, "kind: App\nname: a\nsaml:\n  entityID: b\n  acs: [{url: c, binding: HTTP-POST, index: 1, default: true}]\n  nameID: {format: none}\n  authnContext: {always: \"urn:x\"}\n  skew: 3m\n"},
	{true, "kind: App\nname: a\noauth:\n  registration: {limit: 3, expireUnusedAfter: 90d, grants: [client_credentials], runAs: auto}\npolicy: {users: [{user: b, until: 2027-01-31}], blocked: true}\n"},
	{true, "{\"kind\":\"User\",\"username\":\"\\u0061na\"}"},
	{true, "---\n...\n---\n# nothing\n"},
	{false, "kind: User\nusername: *a\n"},
	{false, "kind: User\n\tusername: a\n"},
	{false, "kind: App\n? [a]\n: b\n"},
	{false, "kind: App\n<<: {name: a}\n"},
	{false, "kind: User\nusername: !!binary AAAA\nactive: 1\n"},
	{false, "\x00"},
	{false, "kind: App\nname: a\npolicy: {users: [{until: 0000-12-31}]}\n"},
}

// Whatever is read, it is read to an end; what is good can be written and read again.
func FuzzDecode(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s.text))
		if _, faults := api.Decode("seed", strings.NewReader(s.text)); s.good != (len(faults) == 0) {
			f.Errorf("%q: %v", s.text, faults)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		docs, faults := api.Decode("f", strings.NewReader(string(b)))
		for _, fault := range faults {
			if !strings.HasPrefix(fault.At, "f") || fault.Text == "" {
				t.Errorf("a fault without place or words: %+v", fault)
			}
		}
		if len(faults) > 0 {
			return
		}
		var values []any
		for _, d := range docs {
			values = append(values, d.Value)
		}
		text, err := api.YAML(values)
		if err != nil {
			t.Fatal(err)
		}
		again, faults := api.Decode("again", strings.NewReader(string(text)))
		if len(faults) > 0 || len(again) != len(docs) {
			t.Fatalf("%d documents became %d: %v\n%s", len(docs), len(again), faults, text)
		}
		values = nil
		for _, d := range again {
			values = append(values, d.Value)
		}
		if twice, err := api.YAML(values); err != nil || string(twice) != string(text) {
			t.Fatalf("written twice, it is another text (%v)\n%s\n%s", err, text, twice)
		}
	})
}
