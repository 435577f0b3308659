package templates_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/templates"
)

// catalogue reads texts/en.json, in which no key may stand twice.
func catalogue(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile("texts/en.json")
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	texts := map[string]string{}
	var key string
	for i := 0; ; i++ {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		s, ok := tok.(string)
		switch {
		case !ok: // a brace
			i--
		case i%2 == 0:
			key = s
			if _, twice := texts[key]; twice {
				t.Errorf("key %q twice", key)
			}
		default:
			texts[key] = s
		}
	}
	if len(texts) < 100 {
		t.Fatalf("only %d texts", len(texts))
	}
	return texts
}

var (
	keyInGo = regexp.MustCompile(`\b(?:signin|signout|setup|password|account|problem|confirm|time)(?:\.[a-z][a-z-]*)+\b`)
	roomKey = regexp.MustCompile(`^(?:signin|signout|setup|password|account|problem|confirm)\.[a-z][a-z-]*(?:\.[a-z-]+)*$`)
	action  = regexp.MustCompile(`(?s)\{\{.*?\}\}`)
)

// Every key that a template or this room's source names is in the catalogue, and the catalogue has no other: those that
// rooms hand in are named in the comment of the field they are for.
func TestKeys(t *testing.T) {
	texts := catalogue(t)
	used := map[string]bool{}
	mark := func(keys ...string) (found bool) {
		for _, k := range keys {
			if _, ok := texts[k]; ok {
				used[k], found = true, true
			}
		}
		return found
	}
	use := func(where, key string) {
		if !mark(key, key+".one", key+".other", key+".sentence") {
			t.Errorf("%s: no text %q", where, key)
		}
		k := strings.TrimSuffix(key, ".title")
		mark(k+".title", k+".next", k+".allow", k+".deny")
	}
	for _, file := range glob(t, "pages/*.html") {
		for _, a := range action.FindAllString(read(t, file), -1) {
			if strings.Contains(a, "define") || strings.Contains(a, "template ") || !regexp.MustCompile(`\bt "`).MatchString(a) {
				continue
			}
			for _, m := range regexp.MustCompile(`\bt "([^"]*)"`).FindAllStringSubmatch(a, -1) {
				use(file, m[1])
			}
		}
	}
	for _, file := range glob(t, "*.go") {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source := read(t, file)
		for _, key := range keyInGo.FindAllString(source, -1) {
			use(file, key)
		}
		for _, m := range regexp.MustCompile(`"([a-z]+\.)" \+`).FindAllStringSubmatch(source, -1) {
			for key := range texts {
				used[key] = used[key] || strings.HasPrefix(key, m[1])
			}
		}
	}
	for key := range texts {
		if !used[key] {
			t.Errorf("text %q is never used", key)
		}
	}
}

// What rooms hand in is in the catalogue too.
func TestKeysOfRooms(t *testing.T) {
	texts := catalogue(t)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != ".." && strings.HasPrefix(d.Name(), ".") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Logf("not read: %v", err)
			return nil
		}
		ours := false
		for _, i := range file.Imports {
			ours = ours || strings.HasSuffix(i.Path.Value, `/lanyard/templates"`)
		}
		if !ours {
			return nil
		}
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			key, err := strconv.Unquote(lit.Value)
			if err != nil || !roomKey.MatchString(key) {
				return true
			}
			_, whole := texts[key]
			_, begun := texts[key+".sentence"]
			if !whole && !begun {
				t.Errorf("%s: no text %q", fset.Position(lit.Pos()), key)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// No sentence stands in a template: what is left of one without its actions and tags has no letter.
func TestNoTextOutsideTheCatalogue(t *testing.T) {
	spoken := regexp.MustCompile(`(?:aria-label|title|placeholder|alt)="([^"]*)"`)
	letter := regexp.MustCompile(`\pL+`)
	for _, file := range glob(t, "pages/*.html") {
		bare := action.ReplaceAllString(read(t, file), "")
		for _, m := range spoken.FindAllStringSubmatch(bare, -1) {
			if letter.MatchString(m[1]) {
				t.Errorf("%s: attribute %s", file, m[0])
			}
		}
		bare = regexp.MustCompile(`(?s)<[^>]*>`).ReplaceAllString(bare, "")
		if words := letter.FindAllString(bare, -1); words != nil {
			t.Errorf("%s: text outside the catalogue: %q", file, words)
		}
	}
}

// Each sentence is one line of plain text whose arguments are numbered from 0.
func TestTexts(t *testing.T) {
	for key, s := range catalogue(t) {
		if strings.TrimSpace(s) != s || s == "" || strings.ContainsAny(s, "<>\n\t'") && !strings.HasSuffix(key, "-command") {
			t.Errorf("%s: %q", key, s)
		}
		if rest := regexp.MustCompile(`\{[01]\}`).ReplaceAllString(s, ""); strings.ContainsAny(rest, "{}") {
			t.Errorf("%s: %q has a strange argument", key, s)
		}
		if got := templates.Text(key, "Ana", "Lima", "too many"); got == "" || strings.Contains(got, "{") {
			t.Errorf("%s: %q", key, got)
		}
	}
}

func TestText(t *testing.T) {
	if got, want := templates.Text("signin.app", "{0} & Co"), "to continue to {0} & Co"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, f := range []func(){
		func() { templates.Text("no.such-key") },
		func() { templates.Text("signin.app") },
		func() { write(t, templates.SignIn{Problem: "no.such-key"}) },
		func() { write(t, templates.Problem{Sentence: "no.such-key"}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		}()
	}
}

// Each sentence of the page of refusals, with and without an app: a heading, what happened, what to do, the reference.
func TestProblems(t *testing.T) {
	n := 0
	for key := range catalogue(t) {
		k, ok := strings.CutSuffix(key, ".sentence")
		if !ok {
			continue
		}
		n++
		_, body := write(t, templates.Problem{Sentence: key, App: "Your Benefits", Reference: "AB12CD34", Status: 418})
		if _, short := write(t, templates.Problem{Sentence: k, App: "Your Benefits", Reference: "AB12CD34", Status: 418}); short != body {
			t.Errorf("%s and %s make different pages", k, key)
		}
		all := parse(t, body)
		if got := find(all, "h1")[0].text; got != templates.Text(k+".title", "Your Benefits") {
			t.Errorf("%s: heading %q", key, got)
		}
		main := find(all, "main")[0].text
		for _, want := range []string{templates.Text(key, "Your Benefits"), "AB12CD34", "Error 418"} {
			if !strings.Contains(main, want) {
				t.Errorf("%s: page does not say %q:\n%s", key, want, main)
			}
		}
	}
	if n < 15 {
		t.Errorf("only %d problems", n)
	}
	_, body := write(t, templates.Problem{Sentence: "problem.denied.sentence"})
	if main := find(parse(t, body), "main")[0].text; !strings.Contains(main, "not allowed to use this app.") {
		t.Errorf("page without an app says\n%s", main)
	}
	_, body = write(t, templates.Problem{Title: "problem.request.title", Sentence: "consent.publisher", Args: []any{"the house"}})
	if main := find(parse(t, body), "main")[0].text; !strings.Contains(main, "by the house") || !strings.Contains(main, "Error 200") || strings.Contains(main, "reference") {
		t.Errorf("page says\n%s", main)
	}
}

func TestShown(t *testing.T) {
	tile := func(name string) templates.Page { return templates.Apps{Tiles: []templates.Tile{{Name: name}}} }
	seen := func(ago time.Duration) templates.Page {
		return templates.Account{Now: noon, Sessions: []templates.SessionRow{{LastSeen: noon.Add(-ago)}}}
	}
	on := func(agent string) templates.Page {
		return templates.Account{Sessions: []templates.SessionRow{{Device: agent}}}
	}
	wait := func(s int) templates.Page { return templates.SignIn{Problem: "signin.throttled", Wait: s} }
	tests := []struct {
		name string
		page templates.Page
		want string
	}{
		{"initials of two words", tile("your benefits"), ">YB<"},
		{"initials of three words", tile("A b c"), ">AB<"},
		{"initials of one word", tile("orders"), ">O<"},
		{"initials with signs", tile("Travel & (Expenses)"), ">TE<"},
		{"initials of an address", templates.Consent{App: "x", User: "ana.lima@example.com"}, ">AL<"},
		{"initials of other letters", tile("ärztliche дом"), ">ÄД<"},
		{"initials of nothing", tile("–"), ">?<"},
		{"name with direction marks", tile("a\u202eb\u2066c\u200f"), ">abc<"},
		{"name over lines", tile(" a\n\tb\u2028c "), ">a b c<"},
		{"name too long", tile(strings.Repeat("é", 500)), ">" + strings.Repeat("é", 119) + "…<"},
		{"name not too long", tile(strings.Repeat("é", 120)), ">" + strings.Repeat("é", 120) + "<"},
		{"seen now", seen(59 * time.Second), ">just now<"},
		{"seen in the future", seen(-time.Hour), ">just now<"},
		{"seen a minute ago", seen(time.Minute), ">1 minute ago<"},
		{"seen minutes ago", seen(59 * time.Minute), ">59 minutes ago<"},
		{"seen an hour ago", seen(time.Hour), ">1 hour ago<"},
		{"seen yesterday", seen(47 * time.Hour), ">1 day ago<"},
		{"seen days ago", seen(6 * 24 * time.Hour), ">6 days ago<"},
		{"seen long ago", seen(7 * 24 * time.Hour), ">on 2026-11-17<"},
		{"seen, by which clock is not known", templates.Account{Sessions: []templates.SessionRow{{LastSeen: noon}}}, ">on 2026-11-24<"},
		{"started", templates.Account{Sessions: []templates.SessionRow{{Started: noon.In(time.FixedZone("", 3600))}}}, `<time datetime="2026-11-24T12:00:00Z">2026-11-24 12:00 UTC<`},
		{"grant never used", samples()["Account"], "never used"},
		{"one grant left", templates.Account{Rest: []templates.GrantRow{{App: "x\u202e"}}}, "<p>That access was taken back; x has 1 other.</p>"},
		{"grants left", templates.Account{Rest: []templates.GrantRow{{App: "x"}, {App: "x"}}}, "<p>That access was taken back; x has 2 others.</p>"},
		{"built-in scope", templates.Account{Grants: []templates.GrantRow{{Scopes: []string{"email"}}}}, "<li>See your email address</li>"},
		{"other scope", templates.Account{Grants: []templates.GrantRow{{Scopes: []string{"orders"}}}}, "<li>orders</li>"},
		{"scope without a label", templates.Consent{App: "x", Scopes: []templates.ScopeText{{Name: "email"}}}, "<li>See your email address</li>"},
		{"scope with a label", templates.Consent{App: "x", Scopes: []templates.ScopeText{{Name: "email", Label: "Your mail"}}}, "<li>Your mail</li>"},
		{"Firefox", on("Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101 Firefox/149.0"), "<h3>Firefox on Linux</h3>"},
		{"Edge", on("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 Safari/537.36 Edg/149.0.0.0"), "<h3>Edge on Windows</h3>"},
		{"Chrome", on("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/149.0.0.0 Mobile Safari/537.36"), "<h3>Chrome on Android</h3>"},
		{"Safari", on("Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1"), "<h3>Safari on iPhone</h3>"},
		{"no browser", on("curl/8.14.1"), "<h3>curl/8.14.1</h3>"},
		{"unknown browser", on("Mozilla/5.0 (Plan9)"), "<h3>Mozilla/5.0 (Plan9)</h3>"},
		{"no device", on(""), "<h3>Unknown device</h3>"},
		{"own buttons", templates.Confirm{Title: "signout.title", Text: "signout.text"}, ">Stay signed in<"},
		{"common buttons", samples()["Confirm"], ">Cancel<"},
		{"wait a second", wait(1), "in 1 second."},
		{"wait", wait(90), "in 90 seconds."},
		{"wait minutes, rounded up", wait(121), "in 3 minutes."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, body := write(t, tt.page); !strings.Contains(body, tt.want) {
				t.Errorf("no %q in\n%s", tt.want, body)
			}
		})
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
