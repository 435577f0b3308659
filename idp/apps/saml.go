package apps

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/saml"
)

const (
	maxEntityID   = 1024 // SAML Core §8.3.6: "no more than 1024 characters in length"
	maxRelayState = 8 << 10
	maxACS        = 100 // of those an admin writes; a vendor's metadata may list one a customer
	maxListedACS  = 1000
	maxAttributes = 100
	maxFilter     = 256
	maxRename     = 1000
	maxConstant   = 4096
)

// CheckMetadata tells what keeps a service provider that was read from metadata from being an app; nil: nothing.
func CheckMetadata(sp *saml.ServiceProvider) Faults {
	return Check(&idp.App{Name: "X", APIName: "X", SAML: sp}, nil, nil)
}

func (c *checking) saml() {
	sp := c.app.SAML
	if sp == nil {
		if c.app.Release.NameID != "" || len(c.app.Release.Attributes) > 0 {
			c.fault("saml", "what SAML tells the app is set, but the app speaks no SAML")
		}
		return
	}
	switch {
	case sp.EntityID == "":
		c.fault("saml.entityID", "a SAML app needs the entity ID of its service provider, or its metadata")
	case len(sp.EntityID) > maxEntityID, !idp.Text(sp.EntityID), strings.ContainsAny(sp.EntityID, " "):
		c.fault("saml.entityID", "%q has spaces, control characters or more than %d bytes", clip(sp.EntityID), maxEntityID)
	}
	c.acs(sp)
	declared := 0
	for _, cert := range sp.Certificates {
		path := "saml.metadata"
		if cert.Declared || !sp.FromMetadata {
			path = fmt.Sprintf("saml.certificates[%d]", declared)
			declared++
		}
		c.oneOf(path, cert.Use, "", "signing", "encryption")
		if err := saml.CheckCertificate(cert.DER); err != nil {
			c.fault(path, "%s", err)
		}
	}
	// AuthnRequestsSigned of metadata without a key is no fault: what such an app sends is refused until its key is known.
	if sp.RequireSignedRequests && !slices.ContainsFunc(sp.Certificates, func(k saml.Certificate) bool { return k.Use != "encryption" }) {
		c.fault("saml.requireSignedRequests", "requests must be signed, but there is no certificate to verify them with")
	}
	c.nameID(sp)
	if !sp.SignResponse && !sp.SignAssertion {
		c.fault("saml.sign", "the response, the assertion or both must be signed")
	}
	if a := sp.AuthnContext; a != "" && a != "lenient" && a != "strict" && !uri(a) {
		c.fault("saml.authnContext", "%q is neither lenient nor strict nor a URN", clip(a))
	}
	if len(sp.RelayState) > maxRelayState || !idp.Text(sp.RelayState) {
		c.fault("saml.relayState", "it has control characters or more than %d bytes", maxRelayState)
	}
	c.within("saml.validity", sp.Validity, time.Minute, time.Hour)
	c.within("saml.skew", sp.Skew, time.Second, time.Hour)
	c.attributes()
}

// within holds a duration; 0 is the default.
func (c *checking) within(path string, d, least, most time.Duration) {
	if d != 0 && (d < least || d > most) {
		c.fault(path, "%s is not between %s and %s", d, short(least), short(most))
	}
}

// short writes 1h for 1h0m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (c *checking) acs(sp *saml.ServiceProvider) {
	most := maxACS
	if sp.FromMetadata {
		most = maxListedACS
	}
	if len(sp.ACS) > most {
		c.fault("saml.acs", "there are more than %d", most)
		return
	}
	posts := false
	byIndex := map[int]bool{}
	for n, e := range sp.ACS {
		path := fmt.Sprintf("saml.acs[%d]", n)
		posts = posts || e.Binding == saml.BindingPOST
		if !uri(e.Binding) {
			c.fault(path+".binding", "%q is no binding", clip(e.Binding))
		}
		if err := saml.CheckEndpoint(e.URL); err != nil {
			c.fault(path+".url", "%s", err)
		} else if saml.PlainHTTP(e.URL) && !sp.AllowHTTP && !sp.FromMetadata { // what metadata lists may stay unused
			c.fault(path+".url", "%q is plain http: what is sent there can be read and changed on its way; it must be https, or be allowed by saml.allowHTTP", clip(e.URL))
		}
		if e.Index < 0 {
			continue
		}
		if byIndex[e.Index] && !sp.FromMetadata {
			c.fault(path+".index", "the index %d is another ACS's already", e.Index)
		}
		byIndex[e.Index] = true
	}
	if !posts {
		c.fault("saml.acs", "a SAML app needs an ACS URL for HTTP-POST, to which its responses go")
	}
}

func (c *checking) nameID(sp *saml.ServiceProvider) {
	source := c.app.Release.NameID
	switch known, many := idp.Source(source); {
	case source == "":
	case !known:
		c.fault("saml.nameID.source", "%q is no source; there is %s", clip(source), strings.Join(idp.Sources(), ", "))
	case many:
		c.fault("saml.nameID.source", "%q can have several values, and a NameID has one", source)
	}
	switch f := sp.NameIDFormat; f {
	case "", saml.FormatNone, saml.FormatEmail, saml.FormatPersistent, saml.FormatUnspecified:
	case saml.FormatTransient:
		if source != "" {
			c.fault("saml.nameID.source", "a transient NameID is random each time and has no source")
		}
	default:
		if !uri(f) {
			c.fault("saml.nameID.format", "%q is no format; there is none, emailAddress, persistent, transient, unspecified, or the URN of another", clip(f))
		} else if source == "" {
			c.fault("saml.nameID.format", "for the format %q it must be said where the value comes from: saml.nameID.source", clip(f))
		}
	}
	if sp.ForceNameIDFormat && sp.NameIDFormat == "" {
		c.fault("saml.nameID.force", "no format is set that could be forced")
	}
}

func (c *checking) attributes() {
	all := c.app.Release.Attributes
	if len(all) > maxAttributes {
		c.fault("saml.attributes", "there are more than %d", maxAttributes)
		return
	}
	seen := map[string]bool{}
	for n, a := range all {
		path := fmt.Sprintf("saml.attributes[%d]", n)
		switch {
		case strings.TrimSpace(a.Name) == "":
			c.fault(path+".name", "an attribute needs a name")
		case seen[a.Name]:
			c.fault(path+".name", "%q is named twice", clip(a.Name))
		}
		seen[a.Name] = true
		c.text(path+".name", a.Name, maxName)
		c.text(path+".friendlyName", a.FriendlyName, maxName)
		c.text(path+".constant", a.Constant, maxConstant)
		c.text(path+".join", a.Join, maxName)
		if a.NameFormat != "" && !uri(a.NameFormat) {
			c.fault(path+".nameFormat", "%q is no format; there is unspecified, uri, basic, or a URN", clip(a.NameFormat))
		}
		switch known, _ := idp.Source(a.Source); {
		case a.Source == "" && a.Constant == "":
			c.fault(path, "it needs a source or a constant")
		case a.Source != "" && a.Constant != "":
			c.fault(path, "a source and a constant do not go together")
		case a.Source != "" && !known:
			c.fault(path+".source", "%q is no source; there is %s", clip(a.Source), strings.Join(idp.Sources(), ", "))
		case a.Constant != "" && (a.Filter != "" || a.Join != "" || len(a.Rename) > 0):
			c.fault(path, "filter, rename and join work on a source, not on a constant")
		}
		if len(a.Filter) > maxFilter {
			c.fault(path+".filter", "it is longer than %d bytes", maxFilter)
		} else if _, err := regexp.Compile(a.Filter); err != nil {
			c.fault(path+".filter", "%s", err)
		}
		if len(a.Rename) > maxRename {
			c.fault(path+".rename", "there are more than %d", maxRename)
			continue
		}
		for from, to := range a.Rename {
			if len(from) > maxName || len(to) > maxName || !idp.Text(from) || !idp.Text(to) {
				c.fault(path+".rename", "%q has control characters or more than %d bytes", clip(from), maxName)
			}
		}
	}
}

// uri tells if s looks like an absolute URI without characters that no URI has.
func uri(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	return ok && scheme != "" && rest != "" && len(s) <= maxEntityID && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
