package saml

import (
	"errors"
	"fmt"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

func (j *judgement) protocolBinding() error {
	if b := j.request.acs.binding; b != "" && b != BindingPOST {
		return &Error{Status: StatusRequester, Sub: StatusUnsupportedBinding, Code: "InvalidAuthnRequest",
			Reason: fmt.Sprintf("the response is asked for by %q, which is not offered", clip(b))}
	}
	return nil
}

// named reads whom the request is about.
func (j *judgement) named() error {
	e := j.request.subject
	if e == nil {
		return nil
	}
	bad := func(reason string) error {
		return &Error{Status: StatusRequester, Code: "InvalidAuthnRequest", Reason: reason}
	}
	// Profiles §4.1.4.1: the Subject "MUST NOT contain any <SubjectConfirmation> elements".
	if e.Child(xmlsec.Name{Space: nsAssertion, Local: "SubjectConfirmation"}) != nil {
		return bad("the Subject has a SubjectConfirmation")
	}
	id, err := e.Only(xmlsec.Name{Space: nsAssertion, Local: "NameID"})
	if err != nil {
		return bad(err.Error())
	}
	if id == nil {
		return &Error{Status: StatusResponder, Sub: StatusUnknownPrincipal, Code: codeSubject,
			Reason: "the Subject is not named by a NameID in clear text"}
	}
	value, err := id.Text()
	if err != nil {
		return bad(err.Error())
	}
	const most = 1024
	if value == "" || len(value) > most {
		return bad(fmt.Sprintf("the NameID of the Subject must have 1 to %d bytes", most))
	}
	j.login.Subject = value
	return nil
}

func (j *judgement) nameIDPolicy() (err error) {
	j.login.Policy.Create = true
	asked := ""
	if e := j.request.nameIDPolicy; e != nil {
		asked, _ = e.Attr("Format")
		asked = collapse(asked)
		// Core §3.4.1.1 has AllowCreate "default to false", with the whole element left out too. That would send every new
		// person away from service providers that never thought of it, so only a false that is written forbids.
		if _, written := e.Attr("AllowCreate"); written {
			if j.login.Policy.Create, err = readBoolean(e, "AllowCreate"); err != nil {
				return invalid(err)
			}
		}
		q, there := e.Attr("SPNameQualifier")
		// Core §3.4.1.1: "the requester MUST … belong to the group" that SPNameQualifier names. There are no groups here.
		if there && q != "" && q != j.sp.EntityID {
			return badPolicy(fmt.Sprintf("the SPNameQualifier is %q, which is not the app", clip(q)))
		}
		j.login.Policy.SPNameQualifier = q
	}
	j.login.Format, err = j.sp.NameIDFormatFor(asked)
	return err
}

func (j *judgement) authnContext() error {
	e := j.request.authnContext
	if e == nil {
		return nil
	}
	bad := func(err error) error {
		return &Error{Status: StatusRequester, Sub: StatusNoAuthnContext, Code: codeLevel, Reason: err.Error()}
	}
	compare, there := e.Attr("Comparison")
	switch compare {
	case CompareExact, CompareMinimum, CompareMaximum, CompareBetter:
		j.login.Compare = compare
	default:
		if there {
			return bad(fmt.Errorf("the Comparison is %q", clip(compare)))
		}
		j.login.Compare = CompareExact
	}
	// Whoever asks is a stranger, and what they ask for is kept for an hour.
	const most, mostBytes = 50, 4 << 10
	size := 0
	for _, c := range e.Children(xmlsec.Name{Space: nsAssertion, Local: "AuthnContextClassRef"}) {
		class, err := c.Text()
		if err != nil {
			return bad(err)
		}
		class = collapse(class)
		size += len(class)
		switch {
		case class == "":
			return bad(errors.New("an AuthnContextClassRef is empty"))
		case size > mostBytes:
			return bad(fmt.Errorf("the authentication context classes have more than %d bytes together", mostBytes))
		case len(j.login.Classes) == most:
			return bad(fmt.Errorf("there are more than %d authentication context classes", most))
		}
		j.login.Classes = append(j.login.Classes, class)
	}
	if len(j.login.Classes) == 0 {
		return bad(errors.New("no authentication context class is asked for; declarations are not known here"))
	}
	return nil
}

// context, passive and principal look at what the person at the browser has shown.

func (j *judgement) context() error {
	if j.missing == MissingContext {
		return &Error{Status: StatusResponder, Sub: StatusNoAuthnContext, Code: codeLevel,
			Reason: fmt.Sprintf("no sign-in here is %s one of %q", j.login.Compare, j.login.Classes)}
	}
	return nil
}

func (j *judgement) passive() error {
	// Core §3.4.1: "If true, the identity provider and the user agent itself MUST NOT visibly take control of the user
	// interface from the requester".
	if j.login.Passive && j.missing != "" {
		return &Error{Status: StatusResponder, Sub: StatusNoPassive, Code: codePassive,
			Reason: fmt.Sprintf("the person would have to be asked for: %s", j.missing)}
	}
	return nil
}

// principal compares whom the request is about with the NameID that would be sent. Profiles §4.1.4.1: "If the identity
// provider does not recognize the principal as that identity, then it MUST respond with a <Response> message containing
// an error status and no assertions."
func (j *judgement) principal() error {
	if j.login.Subject == "" || j.subject == nil || j.subject.NameID.Value == j.login.Subject {
		return nil
	}
	return &Error{Status: StatusResponder, Sub: StatusUnknownPrincipal, Code: codeSubject,
		Reason: fmt.Sprintf("the request is about %q, who is not the person at the browser", clip(j.login.Subject))}
}
