package saml

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// Descriptor is what a metadata file says of the service providers in it.
type Descriptor struct {
	Entities []Entity `json:"entities"`
	Remarks  []Remark `json:"remarks"` // what an admin should know; nothing here keeps Entities from being imported

	broken map[string]error // why an entity is not among Entities, by entity ID
}

// Entity is one service provider of a file, ready to become an app: what metadata can not say stands at its default.
type Entity struct {
	ServiceProvider
	Title string `json:"title,omitempty"` // what it calls itself, at most 120 characters
}

// Remark is one thing that is odd, weak or missing.
type Remark struct {
	Entity string `json:"entity,omitempty"` // entity ID; empty: the file as a whole
	Code   string `json:"code"`
	Text   string `json:"text"`
	Fix    string `json:"fix"`
}

// Choose returns the service provider with that entity ID, or the only one if entityID is empty.
func (d *Descriptor) Choose(entityID string) (*Entity, error) {
	if entityID == "" && len(d.Entities) == 1 && len(d.broken) == 0 {
		return &d.Entities[0], nil
	}
	if err := d.broken[entityID]; err != nil && entityID != "" {
		return nil, err
	}
	for i := range d.Entities {
		if d.Entities[i].EntityID == entityID {
			return &d.Entities[i], nil
		}
	}
	var names []string
	for i := range d.Entities[:min(len(d.Entities), 5)] {
		names = append(names, d.Entities[i].EntityID)
	}
	list := strings.Join(names, ", ")
	if len(d.Entities) > len(names) {
		list += ", …"
	}
	if entityID == "" {
		return nil, fmt.Errorf("the metadata describes %d service providers, choose one by its entity ID: %s", len(d.Entities)+len(d.broken), list)
	}
	return nil, fmt.Errorf("the metadata does not describe a service provider %q, only %s", clip(entityID), list)
}

// RemarksOn returns the remarks on the file as a whole and on e, which was chosen from it.
func (d *Descriptor) RemarksOn(e *Entity) []Remark {
	var on []Remark
	for _, r := range d.Remarks {
		if (r.Entity == "" || r.Entity == e.EntityID) && r.Code != severalSPs {
			on = append(on, r)
		}
	}
	return on
}

// Current tells why e is not believed where nobody handed the file over, but a machine fetched it: it is past its end, or
// nobody knows when that is. nil: it is.
func (d *Descriptor) Current(e *Entity) error {
	for _, r := range d.RemarksOn(e) {
		switch r.Code {
		case expiredMetadata, noTimeZone, badValidUntil:
			return fmt.Errorf("%s What is fetched by URL must be current; what you have looked at yourself can be given as a file", r.Text)
		}
	}
	return nil
}

// Codes of remarks on the end of a description.
const (
	expiredMetadata = "expired-metadata"
	noTimeZone      = "no-time-zone"
	badValidUntil   = "bad-valid-until"
)

// severalSPs is the code of the remark that one of several service providers has to be chosen.
const severalSPs = "several-service-providers"

// reader gathers what a file says.
type reader struct {
	now    time.Time
	d      Descriptor
	seen   map[string]bool
	bad    []string // keys of d.broken, in the order of the file
	others int      // entities that are no service provider
	entity string   // being read; empty: none
}

func (r *reader) remark(code, text, fix string) {
	r.d.Remarks = append(r.d.Remarks, Remark{Entity: r.entity, Code: code, Text: text, Fix: fix})
}

// ReadMetadata reads an EntityDescriptor or EntitiesDescriptor (Metadata §2.3) as an administrator hands it over: that is
// the act of trust, so its signature and its end of validity are remarks. It is tolerant where nothing can go wrong, and
// refuses with one sentence where something could: a browser sent to an address that is none, or two descriptions of one
// entity. Of an aggregate only such an entity is refused, and the others are there to be chosen. now is compared with the times in it.
func ReadMetadata(b []byte, now time.Time) (*Descriptor, error) {
	limits := xmlsec.MetadataLimits()
	aggregate := len(b) > limits.Bytes
	if aggregate {
		limits = xmlsec.AggregateLimits()
	}
	root, err := xmlsec.Parse(b, limits)
	if err != nil {
		return nil, fmt.Errorf("the metadata can not be read: %w", err)
	}
	r := &reader{now: now, seen: map[string]bool{}, d: Descriptor{Entities: []Entity{}, Remarks: []Remark{}, broken: map[string]error{}}}
	switch root.Name {
	case mdName("EntityDescriptor"):
		if aggregate {
			return nil, fmt.Errorf("the metadata of one entity has %d bytes, at most %d are read", len(b), xmlsec.MetadataLimits().Bytes)
		}
		r.signature(root)
		r.readEntity(root)
	case mdName("EntitiesDescriptor"):
		r.signature(root)
		r.readEntities(root)
	default:
		return nil, notMetadata(root)
	}
	if err := r.leaveOut(); err != nil {
		return nil, err
	}
	switch {
	case len(r.d.Entities) == 0 && r.others > 0:
		return nil, errors.New("the metadata describes no service provider (there is no SPSSODescriptor in it), only entities of other kinds, such as identity providers")
	case len(r.d.Entities) == 0:
		return nil, errors.New("the metadata describes no entity")
	case len(r.d.Entities)+len(r.bad) > 1:
		r.remark(severalSPs, fmt.Sprintf("The file describes %d service providers.", len(r.d.Entities)+len(r.bad)),
			"Say which one the app is by its entityID.")
	}
	return &r.d, nil
}

func mdName(local string) xmlsec.Name { return xmlsec.Name{Space: nsMetadata, Local: local} }

func notMetadata(root *xmlsec.Element) error {
	const want = "an EntityDescriptor or EntitiesDescriptor of " + nsMetadata
	name := clip(root.Name.Local)
	switch root.Name.Space {
	case nsMetadata:
		return fmt.Errorf("the root element is %s, and must be %s", name, want)
	case "":
		return fmt.Errorf("the root element %s is in no namespace, and must be %s", name, want)
	}
	return fmt.Errorf("the root element %s is in the namespace %s, and must be %s", name, clip(root.Name.Space), want)
}

// signature remarks on the signature of e.
func (r *reader) signature(e *xmlsec.Element) {
	s := e.Child(xmlsec.Name{Space: nsSignature, Local: "Signature"})
	if s == nil {
		return
	}
	r.remark("signature-not-checked", "The metadata is signed; the signature is not verified.",
		"Make sure the file came from whom you think it did.")
	if info := s.Child(xmlsec.Name{Space: nsSignature, Local: "SignedInfo"}); info != nil {
		if m := info.Child(xmlsec.Name{Space: nsSignature, Local: "SignatureMethod"}); m != nil {
			if alg, _ := m.Attr("Algorithm"); weakHash(alg) {
				r.remark("sha1", "The metadata is signed with "+clip(alg)+", which proves nothing any more.",
					"Ask the service provider for metadata that is signed with SHA-256.")
			}
		}
	}
}

// weakHash tells if a signature or digest algorithm rests on SHA-1 or MD5.
func weakHash(algorithm string) bool {
	return strings.HasSuffix(algorithm, "sha1") || strings.HasSuffix(algorithm, "md5")
}

func (r *reader) readEntities(e *xmlsec.Element) {
	r.times(e)
	for c := range e.All() {
		switch c.Name {
		case mdName("EntitiesDescriptor"):
			r.readEntities(c)
		case mdName("EntityDescriptor"):
			r.readEntity(c)
		}
	}
}

func (r *reader) readEntity(e *xmlsec.Element) {
	text, _ := e.Attr("entityID")
	id := strings.TrimSpace(text)
	var err error
	switch {
	case id == "" || len(id) > maxEntityID:
		err = fmt.Errorf("an EntityDescriptor has an entityID of %d bytes, 1 to %d may be", len(id), maxEntityID)
		id = "" // nobody can choose it
	case r.seen[id]:
		err = fmt.Errorf("the metadata describes the entity %q twice", clip(id))
	default:
		r.seen[id], r.entity = true, id
		err = r.describe(e, id != text)
		r.entity = ""
	}
	if err == nil {
		return
	}
	if _, known := r.d.broken[id]; !known {
		r.bad = append(r.bad, id)
	}
	r.d.broken[id] = err
}

// leaveOut takes the entities away that can not be used. It is an error if none remains.
func (r *reader) leaveOut() error {
	r.d.Entities = slices.DeleteFunc(r.d.Entities, func(e Entity) bool { return r.d.broken[e.EntityID] != nil })
	switch {
	case len(r.bad) == 0:
		return nil
	case len(r.d.Entities) == 0 && len(r.bad) == 1:
		return r.d.broken[r.bad[0]]
	case len(r.d.Entities) == 0:
		return fmt.Errorf("none of the %d service providers can be used: %w", len(r.bad), r.d.broken[r.bad[0]])
	}
	for _, id := range r.bad {
		r.entity = id
		r.remark("unusable-entity", fmt.Sprintf("It can not be imported: %v.", r.d.broken[id]), "Ask the service provider to correct its metadata.")
	}
	r.entity = ""
	return nil
}

// describe reads the entity; spaced says that there was white space around its entityID.
func (r *reader) describe(e *xmlsec.Element, spaced bool) error {
	all := e.Children(mdName("SPSSODescriptor"))
	if len(all) == 0 {
		r.others++
		return nil
	}
	var roles []*xmlsec.Element
	for _, role := range all {
		protocols, there := role.Attr("protocolSupportEnumeration")
		if !there || slices.Contains(strings.Fields(protocols), nsProtocol) {
			roles = append(roles, role)
		}
	}
	if len(roles) == 0 {
		r.remark("other-protocol", "The service provider does not say that it speaks SAML 2.0 (protocolSupportEnumeration).",
			"Ask whoever runs it whether it does.")
		roles = all[:1]
	}
	if len(roles) > 1 {
		r.remark("several-descriptors", fmt.Sprintf("The entity has %d SPSSODescriptors for SAML 2.0; the first one is used.", len(roles)),
			"Check that the addresses and keys are those you expect.")
	}
	if e.Child(mdName("IDPSSODescriptor")) != nil {
		r.remark("identity-provider-too", "The entity is an identity provider too; only its service provider is used.",
			"Check that this is the metadata of the service provider you mean.")
	}
	if spaced {
		r.remark("space-in-entityid", "White space stands around the entityID; it is left out.", "Ask the service provider to correct its metadata.")
	}
	r.times(e)
	r.times(roles[0])
	return r.readRole(e, roles[0])
}

// readRole reads the SPSSODescriptor of an entity (Metadata §2.4.4).
func (r *reader) readRole(entity, role *xmlsec.Element) error {
	sp := ServiceProvider{EntityID: r.entity, FromMetadata: true, SignResponse: true, SignAssertion: true}
	var err error
	if sp.ACS, err = r.endpoints(role, "AssertionConsumerService"); err != nil {
		return err
	}
	if sp.SLO, err = r.endpoints(role, "SingleLogoutService"); err != nil {
		return err
	}
	r.checkACS(&sp)
	for _, f := range role.Children(mdName("NameIDFormat")) {
		const most = 50
		text, err := f.Text()
		if text = strings.TrimSpace(text); err == nil && text != "" && len(text) < 1024 && len(sp.NameIDFormats) < most && !slices.Contains(sp.NameIDFormats, text) {
			sp.NameIDFormats = append(sp.NameIDFormats, text)
		}
	}
	r.readKeys(&sp, role)
	signed, _ := role.Attr("AuthnRequestsSigned")
	r.requestsSigned(&sp, role, signed == "1" || strings.EqualFold(strings.TrimSpace(signed), "true"))
	r.signingMethods(entity, role)
	r.d.Entities = append(r.d.Entities, Entity{ServiceProvider: sp, Title: title(entity, role)})
	return nil
}

// signingMethods remarks on a service provider that says it signs with nothing that is accepted (SAML V2.0 Metadata
// Profile for Algorithm Support).
func (r *reader) signingMethods(entity, role *xmlsec.Element) {
	var all, weak int
	for _, e := range []*xmlsec.Element{entity, role} {
		for _, ext := range e.Children(mdName("Extensions")) {
			for _, m := range ext.Children(xmlsec.Name{Space: "urn:oasis:names:tc:SAML:metadata:algsupport", Local: "SigningMethod"}) {
				all++
				if alg, _ := m.Attr("Algorithm"); weakHash(alg) {
					weak++
				}
			}
		}
	}
	if weak > 0 && weak == all {
		r.remark("sha1", "The service provider says that it signs with SHA-1 only; such signatures are refused.",
			"Switch it to RSA-SHA256, or let it send its requests unsigned.")
	}
}

// title is what the service provider calls itself: mdui:DisplayName, else the name of its organization.
func title(entity, role *xmlsec.Element) string {
	const ui = "urn:oasis:names:tc:SAML:metadata:ui"
	var names []*xmlsec.Element
	for _, ext := range role.Children(mdName("Extensions")) {
		for _, info := range ext.Children(xmlsec.Name{Space: ui, Local: "UIInfo"}) {
			names = append(names, info.Children(xmlsec.Name{Space: ui, Local: "DisplayName"})...)
		}
	}
	if org := entity.Child(mdName("Organization")); org != nil && len(names) == 0 {
		names = org.Children(mdName("OrganizationDisplayName"))
	}
	if len(names) == 0 {
		return ""
	}
	best := names[0]
	for _, n := range names {
		if lang, _ := n.AttrIn("http://www.w3.org/XML/1998/namespace", "lang"); lang == "en" {
			best = n
			break
		}
	}
	text, err := best.Text()
	if err != nil {
		return ""
	}
	return oneLine(text)
}

// oneLine makes a stranger's text fit to be a name: one line, not too long, without the characters that turn the
// direction of the text around them.
func oneLine(s string) string {
	const most = 120
	s = strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Bidi_Control, c):
			return -1
		case unicode.IsControl(c), unicode.IsSpace(c):
			return ' '
		}
		return c
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > most {
		s = strings.TrimSpace(string([]rune(s)[:most-1])) + "…"
	}
	return s
}
