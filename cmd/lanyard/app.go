package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/saml"
)

type appCmd struct {
	List    appListCmd    `cmd:"" help:"List connected apps."`
	Show    appShowCmd    `cmd:"" help:"Show one app."`
	Create  appCreateCmd  `cmd:"" help:"Connect an app in one line."`
	Connect appConnectCmd `cmd:"" help:"Print everything the other side asks for."`
	Secret  appSecretCmd  `cmd:"" help:"Reveal or renew the client secret."`
	Block   appBlockCmd   `cmd:"" help:"Block an app: all it was given ends at once."`
	Unblock appUnblockCmd `cmd:"" help:"Lift the block."`
	Delete  appDeleteCmd  `cmd:"" help:"Delete an app with its children."`
}

// appView is an app as commands print one.
type appView struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	APIName   string     `json:"apiName"`
	Parent    string     `json:"parent,omitempty"`
	Protocols []string   `json:"protocols"`
	EntityID  string     `json:"entityID,omitempty"`
	ACS       []string   `json:"acs,omitempty"`
	ClientID  string     `json:"clientID,omitempty"`
	Redirects []string   `json:"redirectURIs,omitempty"`
	Scopes    []string   `json:"scopes,omitempty"`
	Permitted string     `json:"permitted"` // in words
	Blocked   bool       `json:"blocked"`
	StartURL  string     `json:"startURL,omitempty"`
	Contact   string     `json:"contactEmail,omitempty"`
	Created   time.Time  `json:"created"`
	LastUsed  *time.Time `json:"lastUsed"`
}

func (h *house) viewApp(c *idp.Connected) (v appView, err error) {
	a := &c.App
	v = appView{ID: a.ID, Name: a.Name, APIName: a.APIName, Blocked: c.Blocked(), StartURL: a.StartURL, Contact: a.ContactEmail, Created: a.Created, Protocols: []string{}}
	if !a.LastUsed.IsZero() {
		v.LastUsed = &a.LastUsed
	}
	if a.SAML != nil {
		v.Protocols, v.EntityID = append(v.Protocols, "SAML"), a.SAML.EntityID
		for _, e := range a.SAML.ACS {
			v.ACS = append(v.ACS, e.URL)
		}
	}
	if o := a.OAuth; o != nil {
		name := "OAuth"
		for _, s := range o.Scopes {
			if s == "openid" {
				name = "OpenID Connect"
			}
		}
		v.Protocols, v.ClientID, v.Redirects, v.Scopes = append(v.Protocols, name), o.ID, o.RedirectURIs, o.Scopes
	}
	if a.Parent != "" {
		parent, err := h.st.Apps().Connected(h.ctx, a.Org, a.Parent)
		switch {
		case err == nil:
			v.Parent = parent.App.APIName
		case !errors.Is(err, store.ErrNotFound):
			return v, err
		}
	}
	v.Permitted, err = h.permitted(c)
	return v, err
}

// permitted says in words who may use an app.
func (h *house) permitted(c *idp.Connected) (string, error) {
	i := c.Installation
	switch {
	case i == nil || i.PermittedUsers == "":
		return "nobody: it has no policy", nil
	case i.PermittedUsers == idp.SelfAuthorize:
		return "everyone", nil
	}
	var words []string
	for _, x := range []struct {
		kind idp.Kind
		word string
		ids  []string
	}{{idp.KindGroup, "group", i.Groups}, {idp.KindProfile, "profile", i.Profiles}, {idp.KindPermissionSet, "permissionSet", i.PermissionSets}} {
		names, err := h.st.People().Names(h.ctx, h.org.ID, x.kind, x.ids)
		if err != nil {
			return "", err
		}
		for _, n := range names {
			words = append(words, x.word+":"+n)
		}
	}
	for _, u := range i.Users {
		user, err := h.st.People().User(h.ctx, h.org.ID, u.User)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		words = append(words, "user:"+user.Username)
	}
	if len(words) == 0 {
		return "nobody", nil
	}
	return strings.Join(words, ", "), nil
}

type appListCmd struct {
	storeFlags
	output
	Parent string `help:"Only the children of this app." placeholder:"APP"`
}

func (appListCmd) Help() string {
	return "Examples:\n\n    lanyard app list\n    lanyard app list --parent Orders_Gateway -o json"
}

func (c appListCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	f := store.AppFilter{Limit: 1000}
	if c.Parent != "" {
		parent, err := h.app(c.Parent)
		if err != nil {
			return err
		}
		f.Parent = parent.App.ID
	}
	views := []appView{}
	for {
		page, err := h.st.Apps().List(h.ctx, h.org.ID, f)
		if err != nil {
			return err
		}
		for _, a := range page {
			v, err := h.viewApp(a)
			if err != nil {
				return err
			}
			views, f.After = append(views, v), a.App.ID
		}
		if len(page) < f.Limit {
			break
		}
	}
	return c.print(g.out, views, func(w io.Writer) {
		var rows [][]string
		for _, v := range views {
			state := v.Permitted
			if v.Blocked {
				state = "BLOCKED"
			}
			last := "never"
			if v.LastUsed != nil {
				last = when(*v.LastUsed)
			}
			rows = append(rows, []string{v.APIName, v.Name, strings.Join(v.Protocols, "+"), v.Parent, state, last})
		}
		columns(w, []string{"API NAME", "NAME", "SPEAKS", "PARENT", "OPEN TO", "LAST USED"}, rows,
			"There are no apps yet. Connect one with: lanyard app create \"Your Benefits\" --metadata benefits-sp.xml --permit everyone")
	})
}

type appShowCmd struct {
	storeFlags
	output
	App string `arg:"" help:"API name, client_id, entity ID or display name."`
}

func (appShowCmd) Help() string { return "Example:\n\n    lanyard app show Your_Benefits" }

func (c appShowCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	a, err := h.app(c.App)
	if err != nil {
		return err
	}
	if a, err = h.st.Apps().Present(h.ctx, h.org.ID, a.App.ID); err != nil {
		return err
	}
	v, err := h.viewApp(a)
	if err != nil {
		return err
	}
	return c.print(g.out, v, func(w io.Writer) {
		last := "never"
		if v.LastUsed != nil {
			last = when(*v.LastUsed)
		}
		facts(w, "Name", v.Name, "API name", v.APIName, "ID", v.ID, "Parent", v.Parent, "Speaks", strings.Join(v.Protocols, ", "),
			"Entity ID", v.EntityID, "ACS", strings.Join(v.ACS, ", "), "Client ID", v.ClientID, "Redirect URIs", strings.Join(v.Redirects, ", "),
			"Scopes", strings.Join(v.Scopes, " "), "Open to", v.Permitted, "Blocked", yes(v.Blocked), "Start URL", v.StartURL, "Contact", v.Contact,
			"Created", when(v.Created), "Last used", last)
	})
}

type appCreateCmd struct {
	storeFlags
	output
	Name        string   `arg:"" help:"Display name."`
	Metadata    string   `help:"SAML metadata of the service provider." placeholder:"FILE|URL|-"`
	EntityID    string   `name:"entity-id" help:"Which service provider of the metadata; or, with --acs, its entity ID." placeholder:"ID"`
	ACS         string   `name:"acs" help:"ACS URL, where there is no metadata." placeholder:"URL"`
	OIDC        bool     `name:"oidc" help:"An OpenID Connect client."`
	RedirectURI []string `name:"redirect-uri" sep:"none" help:"Where the client is answered; again for another." placeholder:"URI"`
	Type        string   `enum:"web,native,browser" default:"web" help:"What the client is: web, native or browser."`
	Scope       []string `help:"Scopes of the client." default:"openid,profile,email" placeholder:"NAME,…"`
	StartURL    string   `help:"Where its tile leads." placeholder:"URL"`
	Contact     string   `name:"contact-email" help:"Who looks after the app." placeholder:"EMAIL"`
	Permit      []string `required:"" help:"Who may use it: everyone, group:G, profile:P, permissionSet:S, user:U or nobody." placeholder:"WHO,…"`
}

func (appCreateCmd) Help() string {
	return `Prints everything to enter at the other side.

Examples:

    lanyard app create "Your Benefits" --metadata benefits-sp.xml --permit group:finance
    lanyard app create Wiki --entity-id https://wiki.example.com/meta --acs https://wiki.example.com/acs --permit everyone
    lanyard app create "Wellness Tracker" --oidc --redirect-uri https://wellness.example.com/callback --permit everyone`
}

func (c appCreateCmd) Run(g *globals) error {
	if c.OIDC == (c.Metadata != "" || c.ACS != "") {
		return usagef("say how the app signs in: --metadata FILE|URL|-, or --entity-id and --acs, or --oidc with --redirect-uri")
	}
	if c.Metadata != "" && c.ACS != "" {
		return usagef("--metadata says which ACS there are; leave out --acs")
	}
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	p := &apps.Put{App: &idp.App{Org: h.org.ID, Name: c.Name, StartURL: c.StartURL, ContactEmail: c.Contact}}
	var remarks []saml.Remark
	if c.OIDC {
		o := apps.NewClient(c.Type)
		o.RedirectURIs, o.Scopes, o.AuthorizationCode = c.RedirectURI, c.Scope, true
		for _, s := range c.Scope {
			o.Refresh = o.Refresh || s == "refresh_token" || s == "offline_access"
		}
		p.App.OAuth = o
	} else if remarks, err = c.saml(g, h, p); err != nil {
		return err
	}
	if p.Policy, err = h.apps.Permit(h.ctx, h.org.ID, c.Permit); err != nil {
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
}

func (c appCreateCmd) saml(g *globals, h *house, p *apps.Put) ([]saml.Remark, error) {
	if c.Metadata == "" {
		p.App.SAML = &saml.ServiceProvider{EntityID: c.EntityID, SignAssertion: true, SignResponse: true,
			ACS: []saml.Endpoint{{URL: c.ACS, Binding: saml.BindingPOST, Index: 0}}}
		return nil, nil
	}
	b, err := readMetadata(g, h, c.Metadata)
	if err != nil {
		return nil, err
	}
	d, err := saml.ReadMetadata(b, h.st.Now())
	if err != nil {
		return nil, err
	}
	e, err := d.Choose(c.EntityID)
	if err != nil {
		return nil, err
	}
	p.App.SAML, p.Metadata = &e.ServiceProvider, b
	var remarks []saml.Remark
	for _, r := range d.Remarks {
		if r.Entity == "" || r.Entity == e.EntityID {
			remarks = append(remarks, r)
		}
	}
	return remarks, nil
}

const maxMetadata = 32 << 20

// readMetadata reads a file, a URL or standard input. Only what is fetched needs the house.
func readMetadata(g *globals, h *house, from string) ([]byte, error) {
	switch {
	case from == "-":
		return io.ReadAll(io.LimitReader(g.in, maxMetadata+1))
	case strings.HasPrefix(from, "https://"), strings.HasPrefix(from, "http://"):
		return h.fetcher.Get(g.ctx, from, maxMetadata)
	}
	f, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxMetadata+1))
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
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	a, err := h.app(c.App)
	if err != nil {
		return err
	}
	var u *idp.User
	if c.User != "" {
		if u, err = h.user(c.User); err != nil {
			return err
		}
	}
	return c.connect(g, h, a, u)
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
			"  Client authentication", o.AuthMethod, "  Scopes", strings.Join(o.Scopes, " "), "  Redirect URIs", strings.Join(o.RedirectURIs, ", "),
			"  Authorization endpoint", o.Authorization, "  Token endpoint", o.Token, "  UserInfo endpoint", o.Userinfo, "  JWKS", o.Keys,
			"  Introspection", o.Introspection, "  Revocation", o.Revocation, "  Registration", o.Registration,
			"  Sign-out URL", h.SignOut, "  Change-password URL", h.ChangePassword)
		fmt.Fprintf(w, "\nReady to paste:\n\n  OIDC_ISSUER=%s\n  OIDC_CLIENT_ID=%s\n  OIDC_SCOPES=%q\n", o.Issuer, o.ClientID, strings.Join(o.Scopes, " "))
		if len(o.RedirectURIs) > 0 {
			fmt.Fprintf(w, "  OIDC_REDIRECT_URI=%s\n", o.RedirectURIs[0])
		}
	}
}

type appSecretCmd struct {
	storeFlags
	output
	App   string `arg:"" help:"API name, client_id or display name."`
	Renew bool   `help:"Make a new secret first; the old one is dead at once."`
}

func (appSecretCmd) Help() string {
	return "Who looked is in the events.\n\nExamples:\n\n    lanyard app secret Wellness_Tracker\n    lanyard app secret Wellness_Tracker --renew"
}

func (c appSecretCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	a, err := h.app(c.App)
	if err != nil {
		return err
	}
	var secret string
	if c.Renew {
		secret, err = h.apps.SetSecret(h.ctx, &a.App, "")
	} else {
		secret, err = h.apps.Secret(h.ctx, &a.App)
	}
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%s has no client secret", a.App.Name)
	}
	if err != nil {
		return err
	}
	return c.print(g.out, map[string]string{"secret": secret}, func(w io.Writer) { fmt.Fprintln(w, secret) })
}

type appBlockCmd struct {
	storeFlags
	App string `arg:"" help:"API name, client_id, entity ID or display name."`
}

func (appBlockCmd) Help() string { return "Example:\n\n    lanyard app block Wellness_Tracker" }

func (c appBlockCmd) Run(g *globals) error { return c.setBlocked(g, c.App, true) }

type appUnblockCmd struct {
	storeFlags
	App string `arg:"" help:"API name, client_id, entity ID or display name."`
}

func (appUnblockCmd) Help() string {
	return "What the app was given before it was blocked stays dead.\n\nExample:\n\n    lanyard app unblock Wellness_Tracker"
}

func (c appUnblockCmd) Run(g *globals) error { return c.setBlocked(g, c.App, false) }

func (f storeFlags) setBlocked(g *globals, name string, blocked bool) error {
	h, err := f.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	a, err := h.app(name)
	if err != nil {
		return err
	}
	was, err := h.apps.SetBlocked(h.ctx, &a.App, blocked)
	if err != nil {
		return err
	}
	word := map[bool]string{true: "blocked", false: "not blocked"}[blocked]
	if !was {
		word += " already"
	}
	fmt.Fprintf(g.out, "%s is %s\n", a.App.APIName, word)
	return nil
}

type appDeleteCmd struct {
	storeFlags
	App string `arg:"" help:"API name, client_id, entity ID or display name."`
	Yes bool   `short:"y" help:"Do not ask."`
}

func (appDeleteCmd) Help() string { return "Example:\n\n    lanyard app delete Old_Wiki --yes" }

func (c appDeleteCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	a, err := h.app(c.App)
	if err != nil {
		return err
	}
	if !c.Yes {
		if ok, err := ask(g, fmt.Sprintf("Delete %s (%s) with its children? All they were given ends.", a.App.APIName, a.App.Name)); err != nil || !ok {
			return errors.Join(errors.New("nothing was changed"), err)
		}
	}
	if err := h.st.Write(h.ctx, func(tx *store.Tx) error { return h.apps.Delete(h.ctx, tx, &a.App) }); err != nil {
		return err
	}
	fmt.Fprintf(g.out, "%s is deleted\n", a.App.APIName)
	return nil
}

type explainCmd struct {
	storeFlags
	output
	User string `required:"" help:"Username or e-mail address." placeholder:"NAME"`
	App  string `required:"" help:"API name, client_id, entity ID or display name." placeholder:"NAME"`
	IP   string `name:"ip" help:"As if the user came from this address." placeholder:"ADDR"`
}

func (explainCmd) Help() string {
	return "Example:\n\n    lanyard explain --user ana --app Your_Benefits"
}

func (c explainCmd) Run(g *globals) error {
	var from netip.Addr
	if c.IP != "" {
		var err error
		if from, err = netip.ParseAddr(c.IP); err != nil {
			return usagef("--ip %q is no IP address", c.IP)
		}
	}
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	u, err := h.user(c.User)
	if err != nil {
		return err
	}
	a, err := h.app(c.App)
	if err != nil {
		return err
	}
	e, err := h.apps.Explain(h.ctx, a, u, from)
	if err != nil {
		return err
	}
	return c.print(g.out, e, func(w io.Writer) {
		facts(w, "Decision", e.Decision, "Rule", string(e.Rule), "Reason", e.Reason, "App", e.App, "User", e.User)
	})
}

type gatewayCmd struct {
	Token gatewayTokenCmd `cmd:"" help:"Initial access tokens, by which a gateway registers clients."`
}

type gatewayTokenCmd struct {
	Create gatewayCreateCmd `cmd:"" help:"Make a token; earlier ones stay alive."`
	List   gatewayListCmd   `cmd:"" help:"List tokens."`
	Revoke gatewayRevokeCmd `cmd:"" help:"Revoke tokens; what was registered with them stays."`
}

type gatewayCreateCmd struct {
	storeFlags
	output
	App  string `required:"" help:"The parent app, which has oauth.registration." placeholder:"NAME"`
	Name string `default:"gateway" help:"What to call the token."`
}

func (gatewayCreateCmd) Help() string {
	return "The token is shown once.\n\nExample:\n\n    lanyard gateway token create --app Orders_Gateway --name anypoint"
}

func (c gatewayCreateCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	a, err := h.app(c.App)
	if err != nil {
		return err
	}
	token, err := h.apps.NewGatewayToken(h.ctx, &a.App, c.Name)
	if err != nil {
		return err
	}
	return c.print(g.out, map[string]string{"token": token}, func(w io.Writer) { fmt.Fprintln(w, token) })
}

type gatewayListCmd struct {
	storeFlags
	output
	App string `required:"" help:"The parent app." placeholder:"NAME"`
}

func (gatewayListCmd) Help() string {
	return "Example:\n\n    lanyard gateway token list --app Orders_Gateway"
}

func (c gatewayListCmd) Run(g *globals) error {
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	a, err := h.app(c.App)
	if err != nil {
		return err
	}
	tokens, err := h.apps.GatewayTokens(h.ctx, &a.App)
	if err != nil {
		return err
	}
	type view struct {
		ID       string     `json:"id"`
		Name     string     `json:"name"`
		Created  time.Time  `json:"created"`
		LastUsed *time.Time `json:"lastUsed"`
	}
	views := []view{}
	for _, t := range tokens {
		v := view{ID: t.ID, Name: t.Name, Created: t.Created}
		if !t.LastUsed.IsZero() {
			v.LastUsed = &t.LastUsed
		}
		views = append(views, v)
	}
	return c.print(g.out, views, func(w io.Writer) {
		var rows [][]string
		for _, t := range tokens {
			rows = append(rows, []string{t.ID, t.Name, when(t.Created), when(t.LastUsed)})
		}
		columns(w, []string{"ID", "NAME", "CREATED", "LAST USED"}, rows, "There are no tokens. Make one with: lanyard gateway token create --app "+c.App)
	})
}

type gatewayRevokeCmd struct {
	storeFlags
	App   string `required:"" help:"The parent app." placeholder:"NAME"`
	Name  string `help:"Revoke the tokens of this name."`
	All   bool   `help:"Revoke all."`
	Token string `arg:"" optional:"" help:"The token itself."`
}

func (gatewayRevokeCmd) Help() string {
	return "Examples:\n\n    lanyard gateway token revoke --app Orders_Gateway --name anypoint\n    lanyard gateway token revoke --app Orders_Gateway --all"
}

func (c gatewayRevokeCmd) Run(g *globals) error {
	n := 0
	for _, given := range []bool{c.Name != "", c.All, c.Token != ""} {
		if given {
			n++
		}
	}
	if n != 1 {
		return usagef("say which: --name NAME, the token, or --all")
	}
	h, err := c.open(g)
	if err != nil {
		return err
	}
	defer h.close()
	a, err := h.app(c.App)
	if err != nil {
		return err
	}
	revoked, err := h.apps.RevokeGatewayTokens(h.ctx, &a.App, c.Name, c.Token, c.All)
	if err != nil {
		return err
	}
	if revoked == 0 && !c.All {
		return errors.New("there is no such token")
	}
	fmt.Fprintf(g.out, "%d revoked\n", revoked)
	return nil
}
