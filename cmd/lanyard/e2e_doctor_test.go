package main_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// A source of the NameID that is never used is told, until it is said which format it is for.
func TestDoctorNameID(t *testing.T) {
	o := newOrg(t, storetest.SQLite)
	file := filepath.Join(t.TempDir(), "sp.xml")
	put(t, file, []byte(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://sp.example"><SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
		<NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:transient</NameIDFormat><NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</NameIDFormat>
		<AssertionConsumerService index="0" Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://sp.example/acs"/></SPSSODescriptor></EntityDescriptor>`))
	const told = "nameID.source of Travel (attributes.empId) is not used"
	for format, want := range map[string]bool{"": true, "format: persistent, ": false} {
		o.apply(fmt.Sprintf("kind: App\nname: Travel\nsaml:\n  metadata: {file: %s}\n  nameID: {%ssource: attributes.empId}\npolicy: {permittedUsers: self-authorize}", file, format))
		if out, _, _ := o.try("", "doctor"); strings.Contains(out, told) != want {
			t.Errorf("nameID {%s…}: told is %v\n%s", format, !want, out)
		}
	}
}
