package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/server"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
	"github.com/lanyard-sso/lanyard/saml"
)

// address is about where the org lives, and who stands in front.
func (d *doctor) address() {
	given, _ := publicURL(d.URL)
	switch {
	case d.org.URL == "":
		d.warn("url", "the public address is not written down yet", "lanyard serve --url https://sso.example.com")
		return
	case given != "" && given != d.org.URL:
		d.fail("url", fmt.Sprintf("--url says %s, and the org is at %s: serve will not start", given, d.org.URL), "lanyard org move "+quoted(given))
	default:
		d.ok("url", "%s", d.org.URL)
	}
	u, err := url.Parse(d.org.URL)
	if err != nil {
		d.broken("url", err)
		return
	}
	if d.TLSCert != "" && d.URL == "" { // else it was looked at before the database
		if c, err := (&pair{cert: d.TLSCert, key: d.TLSKey}).read(); err == nil {
			d.named(c.Leaf, u.Hostname())
		}
	}
	for _, p := range d.TrustedProxies {
		if netip.Prefix(p).Bits() == 0 {
			d.warn("proxies", fmt.Sprintf("--trusted-proxies %s believes everybody who says from where they come", netip.Prefix(p)), "name the addresses of your proxies")
		}
	}
	host, _, err := net.SplitHostPort(d.Listen)
	open := d.TLSCert == "" && (err != nil || !loopback(host))
	switch {
	case d.TLSCert != "":
	case len(d.TrustedProxies) > 0:
		if d.org.Secure() {
			d.ok("proxies", "a proxy speaks TLS")
		}
	case !d.org.Secure() && !open:
	case open:
		d.fail("proxies", fmt.Sprintf("serve will not listen at %s without TLS, and without a proxy that speaks it", d.Listen), "--trusted-proxies CIDR, or --tls-cert FILE --tls-key FILE")
	default:
		d.warn("proxies", "no proxy is trusted, so everybody behind one seems to come from this machine, and one person's failures keep all out", "--trusted-proxies 127.0.0.1")
	}
}

// keys is about what is signed with.
func (d *doctor) keys() {
	now := d.st.Now()
	for _, use := range []keys.Use{keys.OIDC, keys.SAML} {
		check := map[keys.Use]string{keys.OIDC: "token keys", keys.SAML: "SAML key"}[use]
		all, err := d.st.Keys().List(d.ctx, d.org.ID, use)
		if err != nil {
			d.broken(check, err)
			continue
		}
		byState := map[keys.State]*keys.Record{}
		for i := range all {
			byState[all[i].State] = &all[i]
		}
		active, next := byState[keys.Active], byState[keys.Next]
		if active == nil {
			d.fail(check, "none is active: nothing can be signed", "start serve, which makes the first; if there are others, lanyard key rotate --use "+string(use)+" --force")
			continue
		}
		if use == keys.SAML {
			d.samlKey(check, active, next)
			continue
		}
		age := now.Sub(active.Changed)
		switch {
		case age > 100*24*time.Hour:
			d.warn(check, fmt.Sprintf("the active one has been signing for %d days; they move by themselves every 90 while serve runs", days(age)), "start serve, or: lanyard key rotate")
		case next == nil:
			d.warn(check, "no next one is announced", "start serve, which makes one within a minute")
		default:
			d.ok(check, "the active one has been signing for %d days, the next has been announced for %d", days(age), days(now.Sub(next.Changed)))
		}
	}
}

func (d *doctor) samlKey(check string, active, next *keys.Record) {
	c, err := x509.ParseCertificate(active.Certificate)
	if err != nil {
		d.broken(check, err)
		return
	}
	left := c.NotAfter.Sub(d.st.Now())
	const rotate = "lanyard key rotate --use saml, and give every app the new certificate"
	switch {
	case left <= 0:
		d.fail(check, "its certificate expired on "+when(c.NotAfter)+"; many apps refuse it", rotate)
	case left < 180*24*time.Hour:
		d.warn(check, fmt.Sprintf("its certificate expires in %d days; apps that hold a copy need time", days(left)), rotate)
	case next != nil:
		d.warn(check, fmt.Sprintf("a second certificate has been announced for %d days", days(d.st.Now().Sub(next.Changed))), "when every app has it: lanyard key rotate --use saml")
	default:
		d.ok(check, "its certificate is good for %d days", days(left))
	}
}

// connected is about the apps.
func (d *doctor) connected() {
	var nobody []string
	before, n := len(d.findings), 0
	for f := (store.AppFilter{Limit: 500}); ; {
		page, err := d.st.Apps().List(d.ctx, d.org.ID, f)
		if err != nil {
			d.broken("apps", err)
			return
		}
		for _, c := range page {
			f.After, n = c.App.ID, n+1
			if open(c) {
				d.certificates(c)
				d.nameID(c)
			} else if !c.Blocked() {
				nobody = append(nobody, c.App.APIName)
			}
			if o := c.App.OAuth; o != nil && o.Mould != nil {
				d.gateway(c)
			}
		}
		if len(page) < f.Limit {
			break
		}
	}
	if len(nobody) > 0 {
		d.warn("apps", "nobody may use"+listed(nobody), "say who: lanyard export App/"+nobody[0]+" > app.yaml, add policy:, and lanyard apply -f app.yaml")
	}
	if len(d.findings) == before {
		d.ok("apps", "%d, and nothing is wrong with them", n)
	}
}

// open tells if a policy lets anybody in at all.
func open(c *idp.Connected) bool {
	i := c.Installation
	return i != nil && !i.Blocked && (i.PermittedUsers == idp.SelfAuthorize ||
		i.PermittedUsers == idp.AdminApproved && len(i.Profiles)+len(i.PermissionSets)+len(i.Groups)+len(i.Users) > 0)
}

// certificates is about those of a service provider.
func (d *doctor) certificates(c *idp.Connected) {
	if c.App.SAML == nil {
		return
	}
	for _, k := range c.App.SAML.Certificates {
		x, err := x509.ParseCertificate(k.DER)
		if err != nil {
			continue // a bare key has no end
		}
		left := x.NotAfter.Sub(d.st.Now())
		word := "expires in " + fmt.Sprint(days(left)) + " days"
		if left <= 0 {
			word = "expired on " + when(x.NotAfter)
		} else if left > soon {
			continue
		}
		whom := c.App.ContactEmail
		if whom == "" {
			whom = "whoever looks after the app"
		}
		d.warn("apps", fmt.Sprintf("a certificate of %s (%s) %s", c.App.APIName, strings.TrimSpace(k.Use+" "+x.Subject.String()), word), "get new metadata from "+whom+", and lanyard apply it")
	}
}

// nameID is about a source that is never used: a transient NameID, which the metadata may list first, is random.
func (d *doctor) nameID(c *idp.Connected) {
	if sp := c.App.SAML; sp != nil && c.App.Release.NameID != "" {
		if format, err := sp.NameIDFormatFor(""); err == nil && format == saml.FormatTransient {
			d.warn("apps", fmt.Sprintf("nameID.source of %s (%s) is not used: the metadata lists transient first, and such a NameID is random", c.App.APIName, c.App.Release.NameID),
				"declare the format that it is for, saml.nameID.format")
		}
	}
}

// gateway is about how many clients have registered themselves.
func (d *doctor) gateway(c *idp.Connected) {
	n, err := d.st.Apps().Children(d.ctx, d.org.ID, c.App.ID)
	if err != nil {
		d.broken("gateways", err)
		return
	}
	limit := int64(c.App.OAuth.Mould.Limit)
	what := fmt.Sprintf("%s has %d of %d clients", c.App.APIName, n, limit)
	switch remedy := "delete what is not used, lanyard app list --parent " + c.App.APIName + ", or declare a higher oauth.registration.limit"; {
	case n >= limit:
		d.fail("gateways", what+": no more can register", remedy)
	case n*10 >= limit*8:
		d.warn("gateways", what, remedy)
	default:
		d.ok("gateways", "%s", what)
	}
}

// online asks the public address what clients ask.
func (d *doctor) online() {
	if d.org.URL == "" {
		return
	}
	h := server.NewFetcher(prefixes(d.AllowFetch))
	at := d.org.URL + "/.well-known/openid-configuration"
	b, err := h.Get(d.ctx, at, 1<<20)
	if err != nil {
		d.fail("online", err.Error(), "start serve, and see that name, proxy and certificate of "+d.org.URL+" are right")
		return
	}
	var said struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(b, &said); err != nil || said.Issuer != d.org.Issuer {
		d.fail("online", fmt.Sprintf("%s says that the issuer is %q, and not %q: something else answers there", at, said.Issuer, d.org.Issuer), "see where the proxy of "+d.org.URL+" leads")
		return
	}
	published, err := h.Get(d.ctx, said.JWKS, 1<<20)
	if err != nil {
		d.fail("online", err.Error(), "see the log of serve")
		return
	}
	ring, err := d.st.Keys().Ring(d.ctx, d.org.ID, keys.OIDC)
	if err != nil {
		d.broken("online", err)
		return
	}
	if active, err := ring.Active(); err != nil || !bytes.Contains(published, []byte(active.ID)) {
		d.fail("online", said.JWKS+" does not publish the key that signs here: a server with another database answers there", "see where the proxy of "+d.org.URL+" leads")
		return
	}
	d.ok("online", "%s answers, as the issuer it is, with the keys that sign here", at)
}
