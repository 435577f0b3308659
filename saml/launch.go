package saml

import (
	"errors"
	"net/http"

	"github.com/gorilla/mux"
)

// launch sends a person to an app that did not ask for them (Profiles §4.1.5). Anybody may send a browser here: all that
// happens is that the app learns who its own user is. RelayState is between the app and whoever wrote the link; nobody is
// ever sent to it from here.
func (h *Handler) launch(w http.ResponseWriter, r *http.Request) {
	j := h.begin(w, r)
	sp, err := h.Store.ServiceProvider(j.ctx, j.site.Org, mux.Vars(r)["app"])
	if errors.Is(err, ErrNotFound) {
		h.page(j, "problem.app", http.StatusNotFound, Refusal{Code: "UnableToResolve", Reason: "no app that speaks SAML has the name " + clip(mux.Vars(r)["app"])})
		return
	}
	if err != nil {
		h.fault(j, err)
		return
	}
	j.sp = sp
	j.login = Login{App: sp.App, Policy: NameIDRequest{Create: true}}
	if !h.prepare(j) || !h.climb(j, func(rung Rung) bool { return rung.again }) {
		return
	}
	h.answer(j)
}

// prepare fills in what a request would have said.
func (h *Handler) prepare(j *judgement) bool {
	l := &j.login
	query, err := readFields(j.r.URL.RawQuery)
	if err == nil {
		l.RelayState, l.HasRelayState, err = query.relayState()
	}
	if err != nil {
		h.page(j, "problem.bad", http.StatusBadRequest, Refusal{App: j.sp.App, Code: "InvalidAuthnRequest", Reason: err.Error()})
		return false
	}
	if !l.HasRelayState {
		l.RelayState, l.HasRelayState = j.sp.RelayState, j.sp.RelayState != ""
	}
	acs, err := j.sp.find(acsChoice{})
	if err != nil {
		h.page(j, "problem.address", http.StatusBadRequest, Refusal{App: j.sp.App, Code: "InvalidSp", Reason: err.Error()})
		return false
	}
	l.ACS = acs.URL
	if l.Format, err = j.sp.NameIDFormatFor(""); err != nil {
		h.fault(j, err)
		return false
	}
	return true
}
