package saml

import (
	"errors"
	"net/http"

	"github.com/lanyard-sso/lanyard/templates"
)

// Codes of events that no other place names.
const (
	codeBlocked = "AppBlocked"
	codeReplay  = "ReplayedAuthnRequest"
	codeLevel   = "InvalidSessionLevel"
	codePassive = "NoPassive"
	codeSubject = "UnknownPrincipal"
	codeFlood   = "TooManyRequests"
)

// climb runs the rungs that want picks. If one refuses it answers, by the rung's side, and returns false.
func (h *Handler) climb(j *judgement, want func(Rung) bool) bool {
	refused, err := j.climb(want)
	switch {
	case err != nil:
		h.fault(j, err)
	case refused == nil:
		return true
	case refused.rung.Side == Here:
		key, status := "problem.request", http.StatusBadRequest
		switch {
		case j.tooLarge:
			key, status = "problem.large", http.StatusRequestEntityTooLarge
		case refused.err.Code == "UnableToResolve":
			key = "problem.app"
		case refused.err.Code == "InvalidSp":
			key = "problem.address"
		case refused.err.Code == codeBlocked:
			key, status = "problem.blocked", http.StatusForbidden
		}
		h.page(j, key, status, Refusal{Code: refused.err.Code, Reason: refused.err.Reason})
	default:
		h.tell(j, refused.err)
	}
	return false
}

// refuse records f, as far as j knows more than it says.
func (h *Handler) refuse(j *judgement, f Refusal) (reference string) {
	if f.App == "" && j.sp != nil {
		f.App = j.sp.App
	}
	if f.User == "" && j.subject != nil {
		f.User = j.subject.User
	}
	return h.Store.Refuse(j.ctx, j.site.Org, f)
}

// page refuses here: nothing is sent anywhere.
func (h *Handler) page(j *judgement, key string, status int, f Refusal) {
	p := templates.Problem{Sentence: key, Reference: h.refuse(j, f), Status: status}
	if j.sp != nil {
		p.App = j.sp.Name
		if status != http.StatusForbidden { // to begin again would end here again
			p.Start = j.sp.Start
		}
	}
	templates.Write(j.w, j.r, status, p)
}

// deny is the house's no to a person. They see it here, unless the app asked that they see nothing. Core §3.4.1, IsPassive:
// "the identity provider and the user agent itself MUST NOT visibly take control of the user interface from the requester".
func (h *Handler) deny(j *judgement, d *Denied) {
	if j.login.Passive && d.Code != codeBlocked { // nobody is led to a blocked app
		h.send(j, &Error{Status: StatusResponder, Sub: StatusNoPassive}, Refusal{User: d.User, Code: d.Code, Reason: d.Reason})
		return
	}
	key := "problem.denied"
	if d.Code == codeBlocked {
		key = "problem.blocked"
	}
	h.page(j, key, http.StatusForbidden, Refusal{User: d.User, Code: d.Code, Reason: d.Reason})
}

// answered refuses a request that was answered before.
func (h *Handler) answered(j *judgement) {
	h.page(j, "problem.answered", http.StatusBadRequest, Refusal{Code: codeReplay, Reason: "the request was answered before"})
}

// flooded refuses a request for which nothing can be remembered any more.
func (h *Handler) flooded(j *judgement, err error) {
	j.w.Header().Set("Retry-After", "60")
	h.page(j, "problem.throttled", http.StatusTooManyRequests, Refusal{Code: codeFlood, Reason: err.Error()})
}

// fault is our fault: one fixed sentence outside, all of it in event and log.
func (h *Handler) fault(j *judgement, err error) {
	f := Refusal{Code: "InternalError", Reason: err.Error()}
	var bad *unsendable
	if errors.As(err, &bad) {
		f.Code = "InvalidSettings"
	}
	h.Log.ErrorContext(j.ctx, "saml", "path", j.r.URL.Path, "error", err)
	if errors.Is(err, ErrBusy) {
		j.w.Header().Set("Retry-After", "1")
		h.page(j, "problem.busy", http.StatusServiceUnavailable, f)
		return
	}
	h.page(j, "problem.internal", http.StatusInternalServerError, f)
}

// tell answers the request with an error, at the ACS that was found to be the app's. Of the reason the app sees nothing. An
// app that asked nothing is told nothing: a launch ends here.
func (h *Handler) tell(j *judgement, e *Error) {
	if j.login.RequestID == "" {
		h.page(j, "problem.unknown", http.StatusForbidden, Refusal{Code: e.Code, Reason: e.Reason})
		return
	}
	h.send(j, e, Refusal{Code: e.Code, Reason: e.Reason})
}

// send records f and sends the status of e.
func (h *Handler) send(j *judgement, e *Error, f Refusal) {
	reference := h.refuse(j, f)
	key, err := j.site.signer()
	if err != nil {
		h.fault(j, err)
		return
	}
	document, err := h.writeStatus(j, key, e, reference)
	if err != nil {
		h.fault(j, err)
		return
	}
	h.post(j, document)
}
