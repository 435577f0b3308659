package main_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testWritten = regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]+)\(`)
	testOfFault = regexp.MustCompile(`^TestFault[A-Z]`)
	testNamed   = regexp.MustCompile("`(Test[A-Za-z0-9_]+)(?:/[A-Za-z0-9_/.]+)?`")
)

// RELIABILITY.md tells of no test that does not exist, and leaves out no test of a fault.
func TestReliability(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "RELIABILITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	written, named := map[string]bool{}, map[string]bool{}
	if err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2:
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range testWritten.FindAllSubmatch(b, -1) {
			written[string(m[1])] = true
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, m := range testNamed.FindAllSubmatch(text, -1) {
		named[string(m[1])] = true
		if !written[string(m[1])] {
			t.Errorf("RELIABILITY.md names %s, which is no test", m[1])
		}
	}
	for name := range written {
		if testOfFault.MatchString(name) && !named[name] {
			t.Errorf("RELIABILITY.md does not name %s", name)
		}
	}
	if len(named) < 20 {
		t.Errorf("RELIABILITY.md names %d tests only", len(named))
	}
}
