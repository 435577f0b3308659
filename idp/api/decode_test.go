package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lanyard-sso/lanyard/idp/api"
)

func TestDecodeFaults(t *testing.T) {
	deep := "kind: App\nname: x\noauth: {subject: " + strings.Repeat("[", 40) + "1" + strings.Repeat("]", 40) + "}"
	for _, c := range []struct{ name, text, want string }{
		{"unknown key, near", "kind: App\npolicy:\n  permitedUsers: x", `f:3: unknown key "permitedUsers" (did you mean "permittedUsers"?)`},
		{"unknown key, far", "kind: App\nzzzzzzzz: x", `f:2: unknown key "zzzzzzzz"`},
		{"unknown key in a list", "kind: App\nsaml:\n  acs:\n  - url: https://a\n    indx: 1", `f:5: unknown key "indx" (did you mean "index"?)`},
		{"key of another kind", "kind: Group\nusername: x", `f:2: unknown key "username"`},
		{"key twice", "kind: User\nusername: a\nusername: b", `f:3: key "username" is given twice`},
		{"key of a table twice", "kind: User\nusername: a\nattributes:\n  x: a\n  x: b", `f:5: key "x" is given twice`},
		{"unknown kind", "kind: Usr\nusername: a", `f:1: unknown kind "Usr" (did you mean "User"?)`},
		{"no kind", "\nname: a", `f:2: the document has no kind; it is one of User, Group, Profile, PermissionSet, Scope, App`},
		{"later kind", "kind: Org\nname: a", `f:1: kind Org is not supported yet`},
		{"later kind TrustedIssuer", "kind: TrustedIssuer\nissuer: a", `f:1: kind TrustedIssuer is not supported yet`},
		{"later key", "kind: User\nusername: a\ntotp: {plain: B}", `f:3: totp is not supported yet`},
		{"later flow", "kind: App\noauth:\n  flows:\n    device: true", `f:4: oauth.flows.device is not supported yet`},
		{"private key", "kind: App\noauth:\n  jwks:\n    keys: [{kty: EC, crv: P-256, x: a, y: b, d: c}]", `f:4: oauth.jwks key 1 is a secret: it has the private member d. It is known to others now; make a new one, and give only its public half`},
		{"keys that are none", "kind: App\noauth:\n  jwks: {keys: {}}", `f:3: oauth.jwks must have the member keys, an array of at most 100 keys`},
		{"keys as a text", "kind: App\noauth:\n  jwks: https://app.example/keys", `f:3: oauth.jwks is no JWK Set: not an object`},
		{"member of a key twice", "kind: App\noauth:\n  jwks: {keys: [{kty: EC, kty: RSA}]}", `f:3: oauth.jwks has the member "kty" twice`},
		{"alias in keys", "kind: App\noauth:\n  jwks: {keys: &a [*a]}", `f:3: oauth.jwks has an alias; write the value out`},
		{"keys nested deeply", "kind: App\noauth:\n  jwks: " + strings.Repeat("[", 20) + strings.Repeat("]", 20), `f:3: oauth.jwks is nested too deeply`},
		{"list as a document", "- a", "f:1: a document must be a mapping with a kind, like `kind: App`"},
		{"text for a list", "kind: User\nusername: a\ngroups: b", `f:3: groups must be a list`},
		{"list for a text", "kind: User\nusername: [a]", `f:2: username must be a text`},
		{"text for a mapping", "kind: App\nsaml: x", `f:2: saml must be a mapping of keys to values`},
		{"text for a switch", "kind: User\nusername: a\nactive: sure", `f:3: active must be true or false`},
		{"quoted switch", "kind: User\nusername: a\nactive: \"true\"", `f:3: active must be true or false`},
		{"text for a number", "kind: App\nlauncher: {order: ten}", `f:2: launcher.order must be a whole number`},
		{"number too large", "kind: App\nlauncher: {order: 99999999999999999999}", `f:2: launcher.order must be a whole number`},
		{"mapping for texts", "kind: User\nusername: a\nattributes: {x: {y: z}}", `f:3: attributes.x must be a text or a list of texts`},
		{"duration", "kind: App\nsaml: {validity: soon}", `f:2: saml.validity "soon" is no duration; write it like 90s, 15m, 2h or 30d`},
		{"negative duration", "kind: App\nsaml: {validity: -5m}", `f:2: saml.validity "-5m" is no duration; write it like 90s, 15m, 2h or 30d`},
		{"date", "kind: App\npolicy:\n  users: [{user: a, until: someday}]", `f:3: policy.users[0].until must be a day like 2027-01-31 or a time like 2027-01-31T12:00:00Z`},
		{"authnContext", "kind: App\nsaml: {authnContext: loose}", `f:2: saml.authnContext must be lenient, strict, or {always: URN}`},
		{"alias", "kind: User\nusername: &a x\nemail: *a", `f:3: aliases are not taken; write the value out`},
		{"merge key", "kind: User\nusername: a\n<<: {email: b}", `f:3: unknown key "<<"`},
		{"unknown alias", "kind: User\nusername: *a", `f:2: aliases are not taken; write the value out, or quote a text that begins with *`},
		{"syntax", "kind: User\nusername: [", `f:2: this is not YAML: did not find expected node content`},
		{"not UTF-8", "kind: User\nusername: \xff", `f: not UTF-8`},
		{"nested too deeply", deep, `f:3: oauth.subject is not supported yet`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, faults := api.Decode("f", strings.NewReader(c.text))
			if len(faults) != 1 || faults[0].Error() != c.want {
				t.Errorf("faults:\n%v\nwant:\n%s", faults, c.want)
			}
		})
	}
}

// The second of several faults is told too, with the documents around it.
func TestDecodeAllFaults(t *testing.T) {
	docs, faults := api.Decode("f", strings.NewReader("kind: Group\nname: a\n---\nkind: Group\nnam: b\n---\n# nothing\n---\nkind: Group\nname: c\nx: y\n"))
	if len(faults) != 2 || faults[0].At != "f:5" || faults[1].At != "f:11" {
		t.Errorf("faults %v", faults)
	}
	if len(docs) != 3 || docs[0].Line != 1 || docs[2].Line != 9 {
		t.Errorf("%d documents", len(docs))
	}
	big := strings.NewReader("kind: Group\nname: " + strings.Repeat("x", 33<<20))
	if _, faults := api.Decode("f", big); len(faults) != 1 || !strings.Contains(faults[0].Text, "larger than 32 MiB") {
		t.Errorf("faults of a file that is too large: %v", faults)
	}
}

// A switch of later that is off, an empty list and an empty value ask for nothing.
func TestDecodeOff(t *testing.T) {
	docs, faults := api.Decode("f", strings.NewReader("kind: App\nname: a\noauth:\n  flows: {device: false}\n  serves: []\n  jwks:\npolicy:\n  ipRanges: []\n"))
	if len(faults) > 0 || len(docs) != 1 {
		t.Fatalf("%d documents, faults %v", len(docs), faults)
	}
	if got, want := docs[0].At("oauth.flows.device"), "f:4"; got != want {
		t.Errorf("At: %s, want %s", got, want)
	}
	if got, want := docs[0].At("oauth.clientID"), "f:3"; got != want {
		t.Errorf("At of an absent key: %s, want that of its mapping, %s", got, want)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]string{"30d": "720h0m0s", "1d12h": "36h0m0s", "90s": "1m30s", "0s": "0s", "1h30m": "1h30m0s"} {
		if d, err := api.ParseDuration(text); err != nil || d.String() != want {
			t.Errorf("%s: %v, %v; want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "5", "d", "-1d", "1d-2h", "99999999d", "1w", "1.5d"} {
		if d, err := api.ParseDuration(text); err == nil {
			t.Errorf("%q: %v, want an error", text, d)
		}
	}
}

// What decodes and encodes decodes to the same, and nothing makes it panic.
func FuzzDecode(f *testing.F) {
	f.Add(declared)
	f.Add("kind: User\nusername: \"a\\tb\"\nattributes: {x: [\"\"], y: [\" a\", \"b \\n\"]}\npersistentIDs: {\"\": \"\"}")
	f.Add("kind: App\nname: |\n  a\n  b\ndescription: \" \\n x\"\nsaml: {metadata: {inline: \"\\n<a/>\\n\\n\"}, authnContext: {always: strict}, validity: 1d1h1s}")
	f.Add("kind: App\npolicy: {users: [{user: \"~\", until: 2027-01-31}, {user: \"1\", until: \"2027-01-31T01:02:03.5Z\"}], blocked: false}")
	f.Add("kind: Group\nname: &a b\n---\n{\"kind\": \"Scope\", \"name\": \"true\", \"label\": \"0x10\"}")
	f.Add("kind: User\nusername: !!binary aGk=\nroles: [!x y, \"\\u2028\", \"\\u0085\", \"\\ufeff\", null]")
	f.Fuzz(func(t *testing.T, text string) {
		docs, faults := api.Decode("f", strings.NewReader(text))
		if len(faults) > 0 {
			return
		}
		var values []any
		for _, d := range docs {
			values = append(values, d.Value)
			_ = d.At("policy.users[0].until")
			if _, err := api.JSON(d.Value); err != nil {
				t.Errorf("as JSON: %v", err)
			}
		}
		first, err := api.YAML(values)
		if err != nil {
			t.Fatal(err)
		}
		again, faults := api.Decode("f", strings.NewReader(string(first)))
		if len(faults) > 0 {
			t.Fatalf("what was encoded does not decode: %v\n%s", faults, first)
		}
		values = values[:0]
		for _, d := range again {
			values = append(values, d.Value)
		}
		second, err := api.YAML(values)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(first), string(second)); diff != "" {
			t.Errorf("encoded twice:\n%s", diff)
		}
	})
}

const declared = `kind: User
username: ana
email: ana@example.com
givenName: Ana
familyName: Lima
profile: Employee
permissionSets: [Travel]
groups: [finance, legal]
roles: [admin]
attributes: {department: Finance, sites: [Berlin, Porto]}
password: {plain: correct battery horse}
persistentIDs: {"https://sp.example/meta": old-value}
---
kind: User
username: svc
type: service
emailVerified: false
---
kind: Group
name: finance
description: "Money\nand more money"
---
kind: Group
name: legal
---
kind: Profile
name: Employee
---
kind: PermissionSet
name: Travel
---
kind: Scope
name: orders
label: Read your orders
audience: https://orders.example.com
---
kind: App
name: Your Benefits
contactEmail: hr@example.com
contactPhone: "+34 1"
description: What you are owed
infoURL: https://benefits.example.com/info
startURL: https://benefits.example.com/
runsOn: saas
launcher: {visible: false, order: 10}
saml:
  entityID: https://benefits.example.com/meta
  acs: [{url: "https://benefits.example.com/acs", index: 3, default: true}, {url: "https://benefits.example.com/acs2"}]
  nameID: {format: persistent, force: true}
  sign: {response: false, assertion: true}
  authnContext: {always: "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"}
  attributes: [{name: department, source: attributes.department}, {name: realm, constant: main, nameFormat: uri}, {name: groups, source: groups, join: ",", rename: {finance: FIN}}]
  relayState: /home
  validity: 10m
  skew: 1m
oauth:
  clientID: benefits
  clientSecret: {plain: a-secret-that-is-long-enough-0123456789abc}
  redirectURIs: [https://benefits.example.com/callback]
  postLogoutRedirectURIs: [https://benefits.example.com/bye]
  scopes: [openid, profile, refresh_token, orders]
  defaultScopes: [openid]
  flows: {authorizationCode: true, refresh: true, clientCredentials: true}
  requirePKCE: "true"
  tokenEndpointAuthMethod: client_secret_post
  accessToken: {lifetime: 30m}
  idToken: {lifetime: 2h, claims: standard}
  introspect: children
  rotateRefreshTokens: "on"
  registration: {limit: 5, expireUnusedAfter: 90d, grants: [client_credentials], scopes: [orders], runAs: svc, permit: everyone}
policy:
  profiles: [Employee]
  permissionSets: [Travel]
  groups: [finance]
  users: [{user: ana, until: 2027-01-31}, {user: svc}]
  runAs: svc
---
kind: App
name: Batch
oauth:
  clientID: batch
  type: service
  scopes: [orders]
  flows: {clientCredentials: true}
  tokenEndpointAuthMethod: private_key_jwt
  jwks:
    keys:
      - {kty: EC, crv: P-256, kid: 2026-11-24, x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4, y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM}
policy: {permittedUsers: self-authorize, runAs: svc}
---
kind: App
name: Nightly
oauth:
  clientID: nightly
  type: service
  scopes: [orders]
  flows: {clientCredentials: true}
  tokenEndpointAuthMethod: private_key_jwt
  jwksURI: https://nightly.example.com/keys
policy: {permittedUsers: self-authorize, runAs: svc}
---
kind: App
name: Spa
oauth:
  clientID: spa
  type: browser
  redirectURIs: [https://spa.example.com/cb]
  scopes: [openid]
  flows: {authorizationCode: true}
policy: {permittedUsers: self-authorize, blocked: true}
`
