package saml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// Side is who is told of an error. The rungs of a ladder come in this order.
type Side int

// The sides.
const (
	Here   Side = iota // the ACS is not trusted yet: a page here
	App                // the app, in a <Status>
	Person             // the app, once the person has shown what they have
)

// Rung is one check of a request. Its place in the ladder decides where an error goes.
type Rung struct {
	Name    string // begins the reason in the event
	Section string
	Side    Side
	again   bool // what it looks at can have changed until the request is answered
	check   func(*judgement) error
}

// judgement is a request on its way up the ladder.
type judgement struct {
	ctx   context.Context
	w     http.ResponseWriter
	r     *http.Request
	site  *Site
	store Store
	now   time.Time

	message  *message
	tooLarge bool
	root     *xmlsec.Element // the message; what the signature covers, from Signature on
	request  *authnRequest
	sp       *ServiceProvider // from Issuer on
	login    Login            // what is to be answered

	subject *Subject // from Person on
	missing Missing
}

// Ladder returns the rungs that judge an AuthnRequest, lowest first.
func Ladder() []Rung {
	return []Rung{
		{Name: "Binding", Section: "Bindings §3.4.4, §3.5.4", check: (*judgement).binding},
		{Name: "Document", Section: "Core §1.3; XML 1.0", check: (*judgement).document},
		{Name: "Message", Section: "Core §3.4.1", check: (*judgement).kind},
		{Name: "Version", Section: "Core §3.2.1, §4.1.3.2", check: (*judgement).version},
		{Name: "ID", Section: "Core §1.3.4", check: (*judgement).id},
		{Name: "IssueInstant", Section: "Core §1.3.3, §3.2.1", check: (*judgement).issueInstant},
		{Name: "Destination", Section: "Core §3.2.1; Bindings §3.4.5.2, §3.5.5.2", check: (*judgement).destination},
		{Name: "Issuer", Section: "Profiles §4.1.4.1", check: (*judgement).issuer},
		{Name: "Signature", Section: "Core §5; Bindings §3.4.4.1", check: (*judgement).signature},
		{Name: "Request", Section: "Core §3.4.1", check: (*judgement).typed},
		{Name: "Blocked", Section: "the house", check: (*judgement).blocked, again: true},
		{Name: "AssertionConsumerService", Section: "Core §3.4.1; Profiles §4.1.4.1; Metadata §2.2.3", check: (*judgement).acs},
		{Name: "Address", Section: "Profiles §4.1.4.1", check: (*judgement).address, again: true},

		{Name: "ProtocolBinding", Section: "Core §3.4.1; Profiles §4.1.2", Side: App, check: (*judgement).protocolBinding},
		{Name: "Subject", Section: "Core §3.4.1; Profiles §4.1.4.1", Side: App, check: (*judgement).named},
		{Name: "NameIDPolicy", Section: "Core §3.4.1.1", Side: App, check: (*judgement).nameIDPolicy},
		{Name: "RequestedAuthnContext", Section: "Core §3.3.2.2.1", Side: App, check: (*judgement).authnContext},

		{Name: "AuthnContext", Section: "Core §3.3.2.2.1", Side: Person, check: (*judgement).context},
		{Name: "IsPassive", Section: "Core §3.4.1", Side: Person, check: (*judgement).passive},
		{Name: "Principal", Section: "Profiles §4.1.4.1", Side: Person, check: (*judgement).principal},
	}
}

// refusal is a rung's no.
type refusal struct {
	rung Rung
	err  *Error
}

// climb runs the rungs that want picks, and returns the first refusal. Any other error is a fault of ours.
func (j *judgement) climb(want func(Rung) bool) (*refusal, error) {
	for _, rung := range Ladder() {
		if !want(rung) {
			continue
		}
		err := rung.check(j)
		if err == nil {
			continue
		}
		var e *Error
		if !errors.As(err, &e) {
			return nil, fmt.Errorf("%s: %w", rung.Name, err)
		}
		told := *e
		told.Reason = rung.Name + ": " + e.Reason
		return &refusal{rung, &told}, nil
	}
	return nil, nil
}

// invalid is the error of a request that says nothing valid.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	return &Error{Status: StatusRequester, Code: "InvalidAuthnRequest", Reason: err.Error()}
}

func (j *judgement) binding() (err error) {
	j.message, err = readMessage(j.w, j.r)
	j.tooLarge = errors.Is(err, errTooLarge)
	return invalid(err)
}

func (j *judgement) document() (err error) {
	j.root, err = xmlsec.Parse(j.message.document, xmlsec.MessageLimits())
	return invalid(err)
}

func (j *judgement) kind() error {
	if want := (xmlsec.Name{Space: nsProtocol, Local: "AuthnRequest"}); j.root.Name != want {
		return invalid(fmt.Errorf("the message is <%s> of the namespace %q, here AuthnRequests of SAML 2.0 are read", clip(j.root.Name.Local), clip(j.root.Name.Space)))
	}
	return nil
}

func (j *judgement) version() error {
	if v, _ := j.root.Attr("Version"); v != "2.0" {
		return invalid(fmt.Errorf("the version is %q, not 2.0", clip(v)))
	}
	return nil
}

func (j *judgement) id() error {
	_, err := readID(j.root)
	return invalid(err)
}

// window is how far clocks may differ.
const window = 5 * time.Minute

func (j *judgement) issueInstant() error {
	text, _ := j.root.Attr("IssueInstant")
	t, err := readInstant(text)
	if err != nil {
		return invalid(err)
	}
	if d := j.now.Sub(t); d > window || d < -window {
		return invalid(fmt.Errorf("the request was made at %s, which is not within %v of now", instant(t), window))
	}
	return nil
}

// signed tells if the message carries a signature, good or not.
func (j *judgement) signed() bool { return j.message.signature != nil || xmlsec.HasSignature(j.root) }

func (j *judgement) destination() error {
	got, there := j.root.Attr("Destination")
	want := j.site.ssoURL()
	switch {
	case there && got != want:
		return &Error{Code: "InvalidIdpEndpoint", Reason: fmt.Sprintf("the Destination is %q, not %s", clip(got), want)}
	case !there && j.signed():
		// Bindings §3.4.5.2: "the Destination XML attribute in the root SAML element of the protocol message MUST contain
		// the URL to which the sender has instructed the user agent to deliver the message", if it is signed.
		return &Error{Code: "InvalidIdpEndpoint", Reason: "the request is signed and has no Destination"}
	}
	return nil
}

// issuer finds the app. Several may carry the entity ID of one vendor's software; then the request must name the ACS that
// tells them apart. What it names is believed for this choice only: the signature must be by a key of the app chosen, and
// the ACS is read again from what was signed.
func (j *judgement) issuer() error {
	entityID, err := readIssuer(j.root)
	if err != nil {
		return invalid(err)
	}
	apps, err := j.store.ServiceProviders(j.ctx, j.site.Org, entityID)
	if err != nil {
		return err
	}
	switch len(apps) {
	case 0:
		return &Error{Code: "UnableToResolve", Reason: fmt.Sprintf("no app has the entity ID %q", clip(entityID))}
	case 1:
		j.sp = apps[0]
		return nil
	}
	c, err := readACSChoice(j.root)
	if err != nil {
		return invalid(err)
	}
	if !c.hasURL && !c.hasIndex {
		return &Error{Code: "UnableToResolve", Reason: fmt.Sprintf("%d apps have the entity ID %q, and the request names no ACS", len(apps), clip(entityID))}
	}
	for _, sp := range apps {
		if _, err := sp.find(c); err != nil {
			continue
		}
		if j.sp != nil {
			return &Error{Code: "UnableToResolve", Reason: fmt.Sprintf("several apps with the entity ID %q have the ACS that the request names", clip(entityID))}
		}
		j.sp = sp
	}
	if j.sp == nil {
		return &Error{Code: "InvalidSp", Reason: fmt.Sprintf("of %d apps with the entity ID %q none has the ACS that the request names", len(apps), clip(entityID))}
	}
	return nil
}

// signature verifies every signature that is there, whatever the app demands: one that is ignored is a way around it.
func (j *judgement) signature() error {
	bad := func(err error) error { return &Error{Code: "InvalidSignature", Reason: err.Error()} }
	if !j.signed() {
		if j.sp.RequireSignedRequests {
			return bad(errors.New("the request is not signed, and the app's setting requireSignedRequests demands it"))
		}
		if j.sp.AuthnRequestsSigned {
			return bad(errors.New("the request is not signed, and the app's metadata says AuthnRequestsSigned"))
		}
		return nil
	}
	keys := j.sp.signingKeys()
	if len(keys) == 0 {
		return bad(j.sp.noKey())
	}
	if d := j.message.signature; d != nil {
		if err := xmlsec.VerifyDetached(d.algorithm, d.octets, d.value, keys); err != nil {
			return bad(err)
		}
	}
	if xmlsec.HasSignature(j.root) {
		verified, err := xmlsec.Verify(j.root, keys)
		if err != nil {
			return bad(err)
		}
		j.root = verified
	}
	return nil
}

// typed reads the request from what was verified. From here on it is known what to answer.
func (j *judgement) typed() (err error) {
	if j.request, err = readAuthnRequest(j.root); err != nil {
		return invalid(err)
	}
	l := &j.login
	l.App, l.RequestID, l.Passive = j.sp.App, j.request.id, j.request.isPassive
	l.RelayState, l.HasRelayState = j.message.relayState, j.message.hasRelayState
	if j.request.forceAuthn {
		// Once, now: proving oneself after this moment is what ForceAuthn asks, however often the request is taken up.
		l.Since = j.now.Truncate(time.Microsecond)
	}
	return nil
}

func (j *judgement) blocked() error {
	if j.sp.Blocked {
		return &Error{Code: codeBlocked, Reason: "the app is blocked"}
	}
	return nil
}

func (j *judgement) acs() error {
	e, err := j.sp.find(j.request.acs)
	if err != nil {
		return &Error{Code: "InvalidSp", Reason: err.Error()}
	}
	j.login.ACS = e.URL
	return nil
}

// address looks at the ACS chosen as it is now: still the app's, and one that a browser may be sent to.
func (j *judgement) address() error {
	_, err := j.sp.find(acsChoice{url: j.login.ACS, hasURL: true})
	if err == nil {
		err = j.sp.usable(j.login.ACS)
	}
	if err != nil {
		return &Error{Code: "InvalidSp", Reason: err.Error()}
	}
	return nil
}
