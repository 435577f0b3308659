package apps_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/saml"
)

// notApps are the service providers of the corpus that can be no app, by file and entity ID, with what is said of them.
var notApps = map[string]string{
	"weird/aes256gcm-only.xml https://243.ukf-meta.ukfederation.org.uk/007": "HTTP-POST",
	"weird/attributeconsumingservice.xml urn:test:entity:A":                 "HTTP-POST",
	"weird/attributeconsumingservice.xml urn:test:entity:B":                 "HTTP-POST",
	"weird/attributeconsumingservice.xml urn:test:entity:C":                 "HTTP-POST",
	"weird/dsa-keyname-keyvalue.xml http://sp.example.org/":                 "HTTP-POST", // PAOS only
	"weird/oaep-only.xml https://243.ukf-meta.ukfederation.org.uk/008":      "HTTP-POST",
}

// TestCorpusApps: what other people's metadata describes is an app that can be made, and where it is not, what is said
// names a key that metadata has.
func TestCorpusApps(t *testing.T) {
	dir := os.Getenv("LANYARD_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "sp-metadata")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the corpus is not here (LANYARD_CORPUS): %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.xml"))
	if err != nil || len(files) < 40 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	made := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, err := saml.ReadMetadata(raw, time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC))
		if err != nil {
			continue // saml's own test knows of each
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range d.Entities {
			faults := apps.CheckMetadata(&e.ServiceProvider)
			switch want := notApps[filepath.ToSlash(name)+" "+e.EntityID]; {
			case want == "" && len(faults) > 0:
				t.Errorf("%s %s: %v", name, e.EntityID, faults)
			case want != "" && (len(faults) != 1 || !strings.Contains(faults[0].Text, want)):
				t.Errorf("%s %s: %v, want %q", name, e.EntityID, faults, want)
			default:
				made++
			}
		}
	}
	if made < 40 {
		t.Errorf("only %d apps", made)
	}
}
