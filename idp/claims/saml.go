package claims

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/saml"
)

// SAML returns the NameID and the attributes that u has for the service provider of c. What can not be given is a
// *saml.Error with the status to send.
func SAML(ctx context.Context, st *store.Store, c *idp.Connected, u *idp.User, need saml.Need) (saml.NameID, []saml.Attribute, error) {
	p := person{u, ctx, st, c}
	id, err := p.nameID(c, need)
	if err != nil {
		return saml.NameID{}, nil, err
	}
	attributes, err := p.attributes(c.App.Release.Attributes)
	return id, attributes, err
}

// nameID fills the format that was chosen (SURFACE.md §4, "NameID").
func (p person) nameID(c *idp.Connected, need saml.Need) (saml.NameID, error) {
	sp, source := c.App.SAML, c.App.Release.NameID
	id := saml.NameID{Format: need.Format}
	if need.Format == saml.FormatNone {
		return id, nil
	}
	// Core §3.4.1.1: SPNameQualifier "specifies that the assertion subject's identifier be returned (or created) in the
	// namespace of a service provider other than the requester". There is no such group here, and another's identifiers
	// are nobody else's business.
	if q := need.Policy.SPNameQualifier; q != "" && q != sp.EntityID {
		return id, policy(fmt.Sprintf("the SPNameQualifier %q is not the app's own entity ID", q))
	}
	own, err := sp.NameIDFormatFor("")
	if err != nil {
		return id, err
	}
	if need.Format != own {
		source = "" // it says what stands in the app's own format: who asks for another gets what that one implies
	}
	switch need.Format {
	case saml.FormatPersistent, saml.FormatTransient:
		org, err := p.st.Orgs().Org(p.ctx, p.Org)
		if err != nil {
			return id, err
		}
		id.NameQualifier, id.SPNameQualifier = org.EntityID, sp.EntityID
	case saml.FormatEmail:
		if source == "" {
			source = "email"
		}
	case saml.FormatUnspecified:
		if source == "" {
			source = "username"
		}
	default:
		if source == "" {
			return id, policy(fmt.Sprintf("what to put into the format %q is not known: set nameID.source", need.Format))
		}
	}
	switch {
	case need.Format == saml.FormatTransient:
		id.Value = "_" + random() // another one each time (Core §8.3.8), also where this is the app's own and there is a source
	case source != "":
		values, err := p.values(source)
		if err != nil {
			return id, err
		}
		if len(values) == 0 {
			return id, noValue(source)
		}
		id.Value = values[0]
	default:
		return p.persistent(id, need.Policy.Create)
	}
	return id, nil
}

// persistent fills in the pairwise identifier of the person towards this service provider (Core §8.3.7), which is made at
// the first time. Core §3.4.1.1, AllowCreate: false "constrains the identity provider to only issue an assertion to it if
// an acceptable identifier for the principal has already been established".
func (p person) persistent(id saml.NameID, create bool) (saml.NameID, error) {
	fresh := ""
	if create {
		fresh = random()
	}
	value, err := p.st.People().PersistentID(p.ctx, p.Org, id.SPNameQualifier, p.ID, fresh)
	if errors.Is(err, store.ErrNotFound) {
		return id, policy("AllowCreate is false, and the person has no persistent NameID for this app yet")
	}
	id.Value = value
	return id, err
}

// random is 256 bits in lower-case base32.
func random() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

func policy(reason string) *saml.Error {
	return &saml.Error{Status: saml.StatusRequester, Sub: saml.StatusInvalidNameIDPolicy, Code: "InvalidSettings", Reason: reason}
}

func noValue(source string) *saml.Error {
	code := "NoCustomAttrValue"
	if source == "federationID" {
		code = "NoUserFedId"
	}
	return &saml.Error{
		Status: saml.StatusResponder, Sub: saml.StatusUnknownPrincipal, Code: code,
		Reason: fmt.Sprintf("the NameID is to come from %s, and the person has none", source),
	}
}

// attributes are the default ones and those that the app was given. One of the app's own with the name of a default
// takes its place.
func (p person) attributes(own []idp.Attribute) ([]saml.Attribute, error) {
	var out []saml.Attribute
	taken := map[string]bool{}
	for _, a := range own {
		taken[a.Name] = true
	}
	for _, name := range []string{"userId", "username", "email"} {
		if taken[name] {
			continue
		}
		values, err := p.values(name)
		if err != nil {
			return nil, err
		}
		if len(values) > 0 {
			out = append(out, saml.Attribute{Name: name, NameFormat: saml.AttrUnspecified, Values: values})
		}
	}
	for _, a := range own {
		values, err := p.attribute(a)
		if err != nil {
			return nil, err
		}
		if len(values) == 0 {
			continue // an attribute without a value says nothing
		}
		format := a.NameFormat
		if format == "" {
			format = saml.AttrUnspecified
		}
		out = append(out, saml.Attribute{Name: a.Name, FriendlyName: a.FriendlyName, NameFormat: format, Values: values})
	}
	return out, nil
}

// attribute fills one attribute: constant or source, then filter, rename, join.
func (p person) attribute(a idp.Attribute) ([]string, error) {
	if a.Constant != "" {
		return []string{a.Constant}, nil
	}
	values, err := p.values(a.Source)
	if err != nil {
		return nil, err
	}
	if a.Filter != "" {
		re, err := regexp.Compile(a.Filter) // RE2: time linear in the value, whoever wrote it
		if err != nil {
			return nil, fmt.Errorf("the filter of attribute %s: %w", a.Name, err)
		}
		var kept []string
		for _, v := range values {
			if re.MatchString(v) {
				kept = append(kept, v)
			}
		}
		values = kept
	}
	if a.Source == "groups" && p.tooMany(len(values)) { // the filter has chosen by now
		return nil, nil
	}
	if len(a.Rename) > 0 {
		renamed := make([]string, len(values))
		for i, v := range values {
			if to, ok := a.Rename[v]; ok {
				v = to
			}
			renamed[i] = v
		}
		values = renamed
	}
	if a.Join != "" && len(values) > 1 {
		values = []string{strings.Join(values, a.Join)}
	}
	return values, nil
}
