package templates

import "strings"

// SignIn asks for username and password. The form posts `username` and `password` to Action.
type SignIn struct {
	App      string // for which app one signs in; empty: for the launcher
	Action   string
	Username string
	Known    bool   // somebody is signed in and must prove it again: Username is fixed
	NotYou   string // where a known person goes to sign in as somebody else
	Problem  string // key: signin.wrong, signin.throttled, signin.expired or empty
	Wait     int    // seconds until the next attempt, with signin.throttled; sent as Retry-After too
	Cancel   string // where one goes who does not want to sign in; empty: nowhere
}

func (p SignIn) about() about { return about{file: "signin", leadsOut: true, wait: p.Wait} }

// Setup makes the first administrator. The form posts `username`, `email`, `givenName`, `familyName`, `password` and
// `repeat` to Action; the two passwords are never sent back.
type Setup struct {
	Action                string
	Username, Email       string
	GivenName, FamilyName string
	Problem               string // key: setup.username, setup.email, one of ChangePassword's, or empty
}

func (p Setup) about() about { return about{file: "setup"} }

// Fault is the field that Problem is about.
func (p Setup) Fault() string { return fault(p.Problem) }

// SetupClosed says that a set-up link was used or has expired.
type SetupClosed struct{}

func (p SetupClosed) about() about { return about{file: "setupclosed"} }

// Consent asks whether an app may act for a person. The form posts `decision`, allow or deny.
type Consent struct {
	App       string
	Host      string // where it leads
	Publisher string // who is behind the app; empty: not known
	Scopes    []ScopeText
	Policy    string // the app's privacy policy and its terms of service, where it has them: web addresses, anything else is
	Terms     string // not shown
	User      string
	Action    string
	NotYou    string // where one goes to decide as somebody else
}

// ScopeText is a scope with the words a person reads; without a label its name is shown.
type ScopeText struct{ Name, Label string }

func (p Consent) about() about { return about{file: "consent", leadsOut: true} }

// Confirm asks before something is done. The form posts `decision`, allow or deny.
type Confirm struct {
	Title  string // key K.title: signout.title or signin.link.title; the buttons say K.allow and K.deny, or else confirm.allow and confirm.deny
	Text   string // key: signout.text, signout.app, signout.other or signin.link.text
	Action string
	App    string // the app that asks; first argument of all keys
	User   string // who is asked; second argument of Text
}

func (p Confirm) about() about { return about{file: "confirm", leadsOut: true} }

// Button is the key that decision allow or deny may have of its own.
func (p Confirm) Button(decision string) string {
	return strings.TrimSuffix(p.Title, ".title") + "." + decision
}

// SignedOut says that one is signed out.
type SignedOut struct {
	SignIn string // where to sign in again
}

func (p SignedOut) about() about { return about{file: "signedout"} }

// Problem is the one page of refusals and errors. K.sentence says what happened, K.title stands above it, K.next says
// what the reader can do about it; without one it is problem.next. There are, for K:
//
//	problem.denied          403  may not use App
//	problem.blocked         403  App is blocked
//	problem.inactive        403  the person's account is not active
//	problem.crossorigin     403  a form of ours was posted by another site
//	problem.app             400  no such app
//	problem.unknown         403  App can not be told of the person what it needs
//	problem.request         400  the app's request can not be accepted
//	problem.bad             400  what was sent, not by an app, can not be read
//	signin.stale            400  the question that the page answers has expired
//	signin.link.closed      404  no sign-in link, or no more
//	problem.address         400  the app named a return address that is not registered for it
//	problem.signout         400  the app's request to sign out can not be accepted
//	problem.answered        400  this sign-in was completed before
//	problem.expired         400  this sign-in was begun too long ago, or never
//	problem.browser         400  this sign-in was begun in another browser
//	problem.notfound        404  no such page
//	problem.method          405  not asked in this way
//	problem.large           413  more was sent than is read
//	problem.long            414  the address is too long
//	problem.throttled       429  too many requests
//	problem.internal        500  our fault
//	problem.busy            503  more was asked than can be answered now
//	problem.unavailable     503  not ready: nothing is issued
type Problem struct {
	Title     string // key, first argument App; empty: K.title
	Sentence  string // key K, or K.sentence, or a whole key of another kind
	Args      []any  // of Sentence; none: App
	Reference string // finds the event; empty: none is shown
	App       string
	Start     string // where to begin again at the app; empty: nowhere
	Retry     string // where to try again; empty: nowhere
	SignOut   string // where to sign out all the same; empty: nowhere
	Status    int    // as shown; 0: the one the page is sent with
}

func (p Problem) about() about { return about{file: "problem"} }

// Heading is the key of the heading.
func (p Problem) Heading() string {
	if p.Title != "" {
		return p.Title
	}
	return p.k() + ".title"
}

// Said is the key of the sentence.
func (p Problem) Said() string {
	if key := p.k() + ".sentence"; Has(key) {
		return key
	}
	return p.Sentence
}

// Next is the key that says what to do; the catalogue may not have it.
func (p Problem) Next() string { return p.k() + ".next" }

func (p Problem) k() string { return strings.TrimSuffix(p.Sentence, ".sentence") }

// AutoPost sends a SAML response to a service provider (Bindings §3.5.4): a form that a script submits at once, and a
// button where there is no script. A URL that is no web address is never shown and nothing leaves: the page becomes
// problem.internal.
type AutoPost struct {
	URL           string
	SAMLResponse  string
	RelayState    string
	HasRelayState bool
	App           string
}

func (p AutoPost) about() about {
	return about{file: "autopost", leadsOut: true, script: true, unfit: !web(p.URL)}
}
