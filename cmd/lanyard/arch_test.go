package main_test

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	gocmp "github.com/google/go-cmp/cmp"
)

// This file is the plan of the house as a test. It reads the sources itself: a test that asks `go list` would be
// answered from the test cache, while every file and folder opened here is part of the cache's key.

const module = "github.com/lanyard-sso/lanyard"

// arrows says which rooms a room may import. "*" is every room that is not behind a door (cmd) and not support for
// tests. ARCHITECTURE.md draws the same table. A room that is not built yet may be absent from the disk; a folder
// with Go code may not be absent from here.
var arrows = map[string]string{
	"keys": "", "templates": "", "saml/xmlsec": "",
	"saml":                "keys saml/xmlsec templates",
	"oidc":                "keys saml/xmlsec templates", // SAML-bearer grants verify assertions
	"idp":                 "oidc saml",
	"idp/store":           "idp keys oidc saml",
	"idp/store/storetest": "idp idp/store keys", // databases for the tests of every room
	"idp/access":          "idp",
	"idp/claims":          "idp idp/store oidc saml",
	"idp/apps":            "idp idp/access idp/store keys oidc saml",
	"idp/people":          "idp idp/store keys",
	"idp/signin":          "idp idp/people idp/store keys templates",
	"idp/gate":            "idp idp/access idp/claims idp/signin idp/store oidc saml",
	"idp/portal":          "idp idp/access idp/signin idp/store templates",
	"idp/api":             "idp idp/access idp/apps idp/people idp/signin idp/store keys oidc saml",
	"idp/console":         "idp idp/access idp/apps idp/people idp/signin idp/store keys oidc saml templates",
	"idp/server":          "*",
	"cmd/lanyard":         "cmd/lanyard/demo idp idp/api idp/apps idp/people idp/server idp/store keys saml",
	"cmd/lanyard/demo":    "",
}

// foreign holds what others wrote to its rooms, with all that lies below the import path named. Tests are free.
var foreign = []struct{ imports, rooms, why string }{
	{"database/sql modernc.org zombiezen.com github.com/jackc", "idp/store idp/store/storetest", "all SQL is in one room"},
	{"encoding/xml github.com/beevik/etree github.com/russellhaering/goxmldsig", "saml saml/xmlsec cmd/lanyard/demo", "one parser reads XML"},
	{"html/template", "templates cmd/lanyard/demo", "one room writes pages, with their security headers"},
	{"text/template", "", "it does not escape"},
	{"github.com/prometheus", "idp/server", "one room counts, the others are asked"},
	{"github.com/crewjam/saml github.com/coreos/go-oidc github.com/russellhaering/gosaml2 golang.org/x/oauth2", "cmd/lanyard/demo", "they are the other side"},
	{"math/rand", "", "what can be guessed is no secret: crypto/rand"},
	{"C", "", "one static binary"},
	{"testing net/http/httptest github.com/google/go-cmp pgregory.net/rapid github.com/chromedp go.uber.org/goleak github.com/rogpeppe/go-internal",
		"idp/store/storetest", "tests are not linked into the product"},
}

// clientAt is where an outgoing http.Client is made: everybody else is handed it as a field.
var clientAt = []string{"idp/server/fetch.go", "cmd/lanyard/demo/"}

var topFolders = []string{"cmd", "idp", "keys", "oidc", "saml", "templates"}

var layers = strings.Fields(`common controller controllers helper helpers manager managers misc model models
	service services shared type types util utils`)

const maxLines = 500

func TestArchitecture(t *testing.T) {
	root := os.DirFS("../..")
	files := sources(t, root)
	if len(files) == 0 {
		t.Fatal("no Go file found: this test looks in the wrong place")
	}
	for _, complaint := range complaints(t, root, files) {
		t.Error(complaint)
	}
}

// TestArchitectureTable compares ARCHITECTURE.md with the arrows above.
func TestArchitectureTable(t *testing.T) {
	text, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn := map[string]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.HasPrefix(line, "| `") {
			continue
		}
		rooms := strings.ReplaceAll(strings.TrimSpace(cells[2]), "`", "")
		switch rooms {
		case "nothing":
			rooms = ""
		case "every room":
			rooms = "*"
		}
		drawn[strings.Trim(cells[1], " `")] = rooms
	}
	if diff := gocmp.Diff(arrows, drawn); diff != "" {
		t.Errorf("ARCHITECTURE.md draws other arrows than this test (-test +drawn):\n%s", diff)
	}
}

// TestArchitectureComplains breaks each rule once.
func TestArchitectureComplains(t *testing.T) {
	for _, c := range []struct{ name, file, text, want string }{
		{"upward import", "keys/a.go", "// Package keys is.\npackage keys\nimport _ \"" + module + "/idp\"", "keys/a.go: keys may not import idp"},
		{"import of test support", "idp/server/a.go", "// Package server is.\npackage server\nimport _ \"" + module + "/idp/store/storetest\"", "idp/server may not import idp/store/storetest"},
		{"server imports a door", "idp/server/a.go", "// Package server is.\npackage server\nimport _ \"" + module + "/cmd/lanyard/demo\"", "idp/server may not import cmd/lanyard/demo"},
		{"test inside the package imports upward", "keys/a_test.go", "package keys\nimport _ \"" + module + "/idp\"", "keys/a_test.go: keys may not import idp"},
		{"folder not in the table", "idp/extra/a.go", "// Package extra is.\npackage extra", "idp/extra: not in the arrows table"},
		{"SQL outside the store", "idp/people/a.go", "// Package people is.\npackage people\nimport _ \"database/sql/driver\"", "people may not import database/sql/driver: all SQL"},
		{"SQL driver", "idp/people/a.go", "// Package people is.\npackage people\nimport _ \"github.com/jackc/pgx/v5\"", "may not import github.com/jackc/pgx/v5"},
		{"XML outside saml", "oidc/a.go", "// Package oidc is.\npackage oidc\nimport _ \"encoding/xml\"", "oidc may not import encoding/xml"},
		{"HTML outside templates", "oidc/a.go", "// Package oidc is.\npackage oidc\nimport _ \"html/template\"", "oidc may not import html/template"},
		{"other side in the product", "saml/a.go", "// Package saml is.\npackage saml\nimport _ \"github.com/crewjam/saml\"", "saml may not import github.com/crewjam/saml"},
		{"metrics outside the server", "idp/store/a.go", "// Package store is.\npackage store\nimport _ \"github.com/prometheus/client_golang/prometheus\"", "store may not import github.com/prometheus/client_golang/prometheus: one room counts"},
		{"math/rand", "keys/a.go", "// Package keys is.\npackage keys\nimport _ \"math/rand/v2\"", "keys may not import math/rand/v2"},
		{"testing in the product", "keys/a.go", "// Package keys is.\npackage keys\nimport _ \"testing\"", "keys may not import testing"},
		{"http.Get", "oidc/a.go", "// Package oidc is.\npackage oidc\nimport \"net/http\"\nvar f = http.Get", "oidc/a.go:4: http.Get"},
		{"http.DefaultClient under another name", "oidc/a.go", "// Package oidc is.\npackage oidc\nimport h \"net/http\"\nvar c = h.DefaultClient", "oidc/a.go:4: http.DefaultClient"},
		{"http.Client made", "oidc/a.go", "// Package oidc is.\npackage oidc\nimport \"net/http\"\nvar c = &http.Client{}", "oidc/a.go:4: http.Client"},
		{"http.Client by new", "idp/server/a.go", "// Package server is.\npackage server\nimport \"net/http\"\nvar c = new(http.Client)", "idp/server/a.go:4: http.Client"},
		{"http.Transport made", "oidc/a.go", "// Package oidc is.\npackage oidc\nimport \"net/http\"\nvar c = http.Transport{}", "oidc/a.go:4: http.Transport"},
		{"no package comment", "keys/a.go", "package keys", "keys: 0 package comments"},
		{"comment of another form", "keys/a.go", "// Keys are.\npackage keys", `keys: the package comment does not begin "Package keys "`},
		{"file too long", "keys/a.go", "// Package keys is.\npackage keys\n" + strings.Repeat("\n", maxLines), "keys/a.go: 502 lines"},
		{"a layer", "idp/utils/a.go", "// Package utils is.\npackage utils", `idp/utils: a room is a feature, not a "utils"`},
		{"a layer by package name", "keys/a.go", "// Package helpers is.\npackage helpers", `keys: a room is a feature, not a "helpers"`},
		{"a seventh folder", "pkg/a.txt", "", "pkg: the top-level folders are fixed"},
		{"testdata is not looked at", "keys/testdata/a.go", "package broken(", ""},
		{"the one client", "idp/server/fetch.go", "// Package server is.\npackage server\nimport \"net/http\"\nvar c = &http.Client{}", ""},
		{"client handed down", "oidc/a.go", "// Package oidc is.\npackage oidc\nimport \"net/http\"\ntype H struct{ Client *http.Client }", ""},
		{"server imports a room", "idp/server/a.go", "// Package server is.\npackage server\nimport _ \"" + module + "/keys\"", ""},
		{"test beside the package imports upward", "keys/a_test.go", "package keys_test\nimport _ \"" + module + "/idp/server\"", ""},
		{"long test", "keys/a_test.go", "package keys_test\n" + strings.Repeat("\n", maxLines), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree := fstest.MapFS{c.file: {Data: []byte(c.text)}}
			got := complaints(t, tree, sources(t, tree))
			if c.want == "" && len(got) > 0 {
				t.Errorf("complaints: %q, want none", got)
			}
			if c.want != "" && !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, c.want) }) {
				t.Errorf("complaints: %q, want one with %q", got, c.want)
			}
		})
	}
	// Two package comments need two files.
	tree := fstest.MapFS{"keys/a.go": {Data: []byte("// Package keys is.\npackage keys")}, "keys/b.go": {Data: []byte("// Package keys is.\npackage keys")}}
	if got := complaints(t, tree, sources(t, tree)); len(got) != 1 || !strings.Contains(got[0], "2 package comments") {
		t.Errorf("complaints: %q, want one about 2 package comments", got)
	}
}

// source is one Go file of ours.
type source struct {
	name, room string
	lines      int
	fset       *token.FileSet
	syntax     *ast.File
}

func (s source) test() bool { return strings.HasSuffix(s.name, "_test.go") }

// external says that a test file stands beside its package, not in it.
func (s source) external() bool { return s.test() && strings.HasSuffix(s.syntax.Name.Name, "_test") }

func (s source) imports(yield func(string) bool) {
	for _, i := range s.syntax.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil || !yield(p) {
			return
		}
	}
}

// sources parses every Go file the go command would see.
func sources(t *testing.T, root fs.FS) []source {
	t.Helper()
	var files []source
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "lanyard-data") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, source{name, path.Dir(name), bytes.Count(text, []byte("\n")), fset, syntax})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// complaints says where the sources leave the plan.
func complaints(t *testing.T, root fs.FS, files []source) []string {
	t.Helper()
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }

	for room, may := range arrows {
		for _, other := range strings.Fields(may) {
			if _, ok := arrows[other]; !ok && other != "*" {
				say("arrows: %s may import %s, which is no room", room, other)
			}
		}
	}

	entries, err := fs.ReadDir(root, ".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		// lanyard-data is where `lanyard serve` keeps its data when told nothing else.
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "lanyard-data" && !slices.Contains(topFolders, e.Name()) {
			say("%s: the top-level folders are fixed: %s", e.Name(), strings.Join(topFolders, " "))
		}
	}

	rooms := map[string][]source{}
	for _, f := range files {
		rooms[f.room] = append(rooms[f.room], f)
	}
	for _, room := range slices.Sorted(maps.Keys(rooms)) {
		if _, ok := arrows[room]; !ok {
			say("%s: not in the arrows table", room)
		}
		for _, word := range append(strings.Split(room, "/"), rooms[room][0].syntax.Name.Name) {
			if slices.Contains(layers, word) {
				say("%s: a room is a feature, not a %q", room, word)
			}
		}
		checkComment(room, rooms[room], say)
		for _, f := range rooms[room] {
			checkImports(f, say)
			if f.test() {
				continue
			}
			checkClient(f, say)
			if f.lines > maxLines {
				say("%s: %d lines; a file stays under about 400, and under %d", f.name, f.lines, maxLines)
			}
		}
	}
	slices.Sort(out)
	return out
}

// checkComment wants one package comment a room: its map.
func checkComment(room string, files []source, say func(string, ...any)) {
	var comments []string
	production := 0
	name := ""
	for _, f := range files {
		if f.test() {
			continue
		}
		production++
		name = f.syntax.Name.Name
		if f.syntax.Doc != nil {
			comments = append(comments, f.syntax.Doc.Text())
		}
	}
	switch {
	case production == 0:
	case len(comments) != 1:
		say("%s: %d package comments, want one", room, len(comments))
	case name != "main" && !strings.HasPrefix(comments[0], "Package "+name+" "):
		say("%s: the package comment does not begin %q", room, "Package "+name+" ")
	}
}

func checkImports(f source, say func(string, ...any)) {
	if f.external() {
		return
	}
	for p := range f.imports {
		if room, ok := strings.CutPrefix(p, module+"/"); ok {
			if !mayImport(f.room, room) {
				say("%s: %s may not import %s (the arrows table)", f.name, f.room, room)
			}
			continue
		}
		if f.test() {
			continue
		}
		for _, rule := range foreign {
			if !slices.Contains(strings.Fields(rule.rooms), f.room) && slices.ContainsFunc(strings.Fields(rule.imports), func(i string) bool { return p == i || strings.HasPrefix(p, i+"/") }) {
				say("%s: %s may not import %s: %s (allowed in: %s)", f.name, f.room, p, rule.why, cmp.Or(rule.rooms, "no room"))
			}
		}
	}
}

func mayImport(from, to string) bool {
	if arrows[from] == "*" {
		_, ok := arrows[to]
		return ok && !strings.HasPrefix(to, "cmd/") && !strings.HasSuffix(to, "test")
	}
	return slices.Contains(strings.Fields(arrows[from]), to)
}

// checkClient finds what can reach out of the house: http.Client or http.Transport in any form but a pointer that
// somebody else filled, the package's ready-made client and transport, and the functions that use them.
func checkClient(f source, say func(string, ...any)) {
	if slices.ContainsFunc(clientAt, func(at string) bool { return strings.HasPrefix(f.name, at) }) {
		return
	}
	name := ""
	for _, i := range f.syntax.Imports {
		if i.Path.Value == `"net/http"` {
			name = "http"
			if i.Name != nil {
				name = i.Name.Name
			}
		}
	}
	if name == "" {
		return
	}
	pointed := map[ast.Expr]bool{}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.StarExpr:
			pointed[n.X] = true
		case *ast.SelectorExpr:
			if of, ok := n.X.(*ast.Ident); !ok || of.Name != name {
				return true
			}
			switch n.Sel.Name {
			case "Client", "Transport":
				if pointed[n] {
					return true
				}
			case "Get", "Head", "Post", "PostForm", "DefaultClient", "DefaultTransport":
			default:
				return true
			}
			say("%s:%d: http.%s: an outgoing client is made in %s only and handed down as a field",
				f.name, f.fset.Position(n.Pos()).Line, n.Sel.Name, clientAt[0])
		}
		return true
	})
}
