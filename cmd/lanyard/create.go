package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/saml"
)

type appCreateCmd struct {
	storeFlags
	output
	Name        string   `arg:"" help:"Display name."`
	Metadata    string   `help:"SAML metadata of the service provider." placeholder:"FILE|URL|-"`
	EntityID    string   `name:"entity-id" help:"Which service provider of the metadata; or, with --acs, its entity ID." placeholder:"ID"`
	ACS         string   `name:"acs" help:"ACS URL, where there is no metadata." placeholder:"URL"`
	AllowHTTP   bool     `name:"allow-http" help:"Responses may go to an ACS URL on plain http, where they can be read and stolen."`
	OIDC        bool     `name:"oidc" help:"An OpenID Connect client."`
	RedirectURI []string `name:"redirect-uri" sep:"none" help:"Where the client is answered; again for another." placeholder:"URI"`
	PostLogout  []string `name:"post-logout-redirect-uri" sep:"none" help:"Where the client's people come back to after sign-out; again for another." placeholder:"URI"`
	Type        string   `enum:"web,native,browser" default:"web" help:"What the client is: web, native or browser."`
	Scope       []string `help:"Scopes of the client (default: openid,profile,email)." default:"openid,profile,email" placeholder:"NAME"`
	JWKSURI     string   `name:"jwks-uri" help:"Where the client's public keys are: it proves itself with a key (private_key_jwt), not with a secret." placeholder:"URL"`
	StartURL    string   `help:"Where its tile leads." placeholder:"URL"`
	Contact     string   `name:"contact-email" help:"Who looks after the app." placeholder:"EMAIL"`
	Permit      []string `required:"" help:"Who may use it: everyone, group:G, profile:P, permissionSet:S, user:U or nobody." placeholder:"WHO"`
}

func (appCreateCmd) Help() string {
	return `Prints everything to enter at the other side.

Examples:

    lanyard app create "Your Benefits" --metadata benefits-sp.xml --permit group:finance
    lanyard app create Wiki --entity-id https://wiki.example.com/meta --acs https://wiki.example.com/acs --permit everyone
    lanyard app create Intranet --metadata intranet-sp.xml --allow-http --permit everyone
    lanyard app create "Wellness Tracker" --oidc --redirect-uri https://wellness.example.com/callback --permit everyone
    lanyard app create Wiki --oidc --redirect-uri https://wiki.example.com/cb --post-logout-redirect-uri https://wiki.example.com/bye --permit everyone
    lanyard app create Payroll --oidc --redirect-uri https://pay.example.com/cb --jwks-uri https://pay.example.com/keys --permit group:finance`
}

func (c appCreateCmd) Run(g *globals) error {
	if c.OIDC == (c.Metadata != "" || c.ACS != "") {
		return usagef("say how the app signs in: --metadata FILE|URL|-, or --entity-id and --acs, or --oidc with --redirect-uri")
	}
	if c.Metadata != "" && c.ACS != "" {
		return usagef("--metadata says which ACS there are; leave out --acs")
	}
	if c.AllowHTTP && c.OIDC {
		return usagef("--allow-http is for --metadata and --acs")
	}
	if c.JWKSURI != "" && !c.OIDC {
		return usagef("--jwks-uri is for --oidc")
	}
	if len(c.PostLogout) > 0 && !c.OIDC {
		return usagef("--post-logout-redirect-uri is for --oidc")
	}
	return c.with(g, func(h *house) (err error) {
		p := &apps.Put{App: &idp.App{Org: h.org.ID, Name: c.Name, StartURL: c.StartURL, ContactEmail: c.Contact}}
		var remarks []saml.Remark
		if c.OIDC {
			o := apps.NewClient(c.Type)
			o.RedirectURIs, o.PostLogoutRedirectURIs, o.Scopes, o.AuthorizationCode = c.RedirectURI, c.PostLogout, c.Scope, true
			for _, s := range c.Scope {
				o.Refresh = o.Refresh || s == "refresh_token" || s == "offline_access"
			}
			if c.JWKSURI != "" {
				o.AuthMethod, o.JWKSURI = "private_key_jwt", c.JWKSURI
			}
			p.App.OAuth = o
		} else if remarks, err = c.saml(g, h, p); err != nil {
			return err
		}
		if p.Policy, err = h.apps.Permit(h.ctx, h.org.ID, c.Permit); err != nil {
			var faults apps.Faults
			if errors.As(err, &faults) {
				return fmt.Errorf("--permit: %s", faults[0].Text)
			}
			return err
		}
		if err := h.apps.Create(h.ctx, p); err != nil {
			return err
		}
		for _, r := range remarks {
			fmt.Fprintf(g.err, "remark: %s %s\n", r.Text, r.Fix)
		}
		a, err := h.st.Apps().Connected(h.ctx, h.org.ID, p.App.ID)
		if err != nil {
			return err
		}
		return c.connect(g, h, a, nil)
	})
}

func (c appCreateCmd) saml(g *globals, h *house, p *apps.Put) ([]saml.Remark, error) {
	if c.Metadata == "" {
		p.App.SAML = &saml.ServiceProvider{EntityID: c.EntityID, SignAssertion: true, SignResponse: true, AllowHTTP: c.AllowHTTP,
			ACS: []saml.Endpoint{{URL: c.ACS, Binding: saml.BindingPOST, Index: 0}}}
		return nil, nil
	}
	b, err := readMetadata(g, h, c.Metadata)
	if err != nil {
		return nil, fmt.Errorf("the metadata of %s: %w", c.Name, err)
	}
	d, err := saml.ReadMetadata(b, h.st.Now())
	if err != nil {
		return nil, err
	}
	e, err := d.Choose(c.EntityID)
	if err != nil {
		return nil, err
	}
	if isURL(c.Metadata) {
		if err := d.Current(e); err != nil {
			return nil, fmt.Errorf("the metadata of %s: %w", c.Name, err)
		}
	}
	p.App.SAML, p.Metadata = &e.ServiceProvider, b
	p.App.SAML.AllowHTTP = c.AllowHTTP
	return d.RemarksOn(e), nil
}

const maxMetadata = 32 << 20

// readMetadata reads a file, a URL or standard input. Only what is fetched needs the house.
func readMetadata(g *globals, h *house, from string) ([]byte, error) {
	switch {
	case from == "-":
		return io.ReadAll(io.LimitReader(g.in, maxMetadata+1))
	case isURL(from):
		return h.fetcher.Keys(g.ctx, from, maxMetadata)
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, noFile(from, err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMetadata+1))
}

func isURL(from string) bool {
	return strings.HasPrefix(from, "https://") || strings.HasPrefix(from, "http://")
}

type appConnectCmd struct {
	storeFlags
	output
	App  string `arg:"" help:"API name, client_id, entity ID or display name."`
	User string `help:"Show the attributes with this user's values." placeholder:"NAME"`
}

func (appConnectCmd) Help() string {
	return "Examples:\n\n    lanyard app connect Your_Benefits --user ana\n    lanyard app connect Wellness_Tracker -o json"
}

func (c appConnectCmd) Run(g *globals) error {
	return c.withApp(g, c.App, func(h *house, a *idp.Connected) (err error) {
		var u *idp.User
		if c.User != "" {
			if u, err = h.user(c.User); err != nil {
				return err
			}
		}
		return c.connect(g, h, a, u)
	})
}

// connect prints what the other side asks for. Without a user named, any will do for a sample.
func (o output) connect(g *globals, h *house, a *idp.Connected, u *idp.User) error {
	if u == nil {
		some, err := h.st.People().List(h.ctx, h.org.ID, store.UserFilter{Limit: 1})
		if err != nil {
			return err
		}
		if len(some) > 0 {
			u = some[0]
		}
	}
	hand, err := h.apps.Handout(h.ctx, a, u)
	if err != nil {
		return err
	}
	if h.org.URL == "" {
		fmt.Fprintln(g.err, "The org's public address is not known yet, so the addresses below have no beginning. It is written down at the first start of `lanyard serve`, or give it now with --url.")
	}
	return o.print(g.out, hand, func(w io.Writer) { handout(w, hand) })
}

func handout(w io.Writer, h *apps.Handout) {
	fmt.Fprintf(w, "%s is connected (API name %s).\n", h.Name, h.APIName)
	if s := h.SAML; s != nil {
		fmt.Fprintln(w, "\nEnter at the service provider (SAML 2.0):")
		facts(w, "  Entity ID (issuer)", s.EntityID, "  Metadata URL", s.Metadata, "  SSO URL (Redirect)", s.SSORedirect, "  SSO URL (POST)", s.SSOPost,
			"  Sign-out URL", h.SignOut, "  Change-password URL", h.ChangePassword, "  NameID format", s.NameIDFormat,
			"  SHA-256 fingerprint", s.FingerprintSHA256, "  SHA-1 fingerprint", s.FingerprintSHA1, "  Certificate URL", s.CertificateURL,
			"  Start here (launch)", s.Launch)
		fmt.Fprintln(w, "\nAttributes:")
		var rows [][]string
		for _, a := range s.Attributes {
			rows = append(rows, []string{"  " + a.Name, strings.Join(a.Values, ", ")})
		}
		columns(w, []string{"  NAME", "SAMPLE"}, rows, "  none")
		fmt.Fprintf(w, "\nWhat they gave us: entity ID %s, ACS %s\n\n%s", s.ServiceProvider, strings.Join(s.ACS, ", "), s.Certificate)
	}
	if o := h.OIDC; o != nil {
		fmt.Fprintln(w, "\nEnter at the client (OpenID Connect, OAuth 2):")
		facts(w, "  Issuer", o.Issuer, "  Discovery", o.Discovery, "  Client ID", o.ClientID, "  Client secret", o.ClientSecret,
			"  Client authentication", o.AuthMethod, "  Client keys", o.ClientKeys, "  Scopes", strings.Join(o.Scopes, " "), "  Redirect URIs", strings.Join(o.RedirectURIs, ", "),
			"  Post-logout redirect URIs", strings.Join(o.PostLogout, ", "),
			"  Authorization endpoint", o.Authorization, "  Token endpoint", o.Token, "  UserInfo endpoint", o.Userinfo, "  JWKS", o.Keys,
			"  Introspection", o.Introspection, "  Revocation", o.Revocation, "  End-session endpoint", o.EndSession, "  Registration", o.Registration,
			"  Sign-out URL", h.SignOut, "  Change-password URL", h.ChangePassword)
		fmt.Fprintf(w, "\nReady to paste:\n\n  OIDC_ISSUER=%s\n  OIDC_CLIENT_ID=%s\n  OIDC_SCOPES=%q\n", o.Issuer, o.ClientID, strings.Join(o.Scopes, " "))
		if len(o.RedirectURIs) > 0 {
			fmt.Fprintf(w, "  OIDC_REDIRECT_URI=%s\n", o.RedirectURIs[0])
		}
	}
}
