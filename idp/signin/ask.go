package signin

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
)

// Ask is the question another room sends a browser here with. It travels sealed in one parameter, so that the pages take
// nothing from the URL that this house did not write.
type Ask struct {
	App    string    `json:"a,omitempty"` // id of the app the person is on the way to; empty: this house itself
	Since  time.Time `json:"s,omitzero"`  // proved themself at or after this time
	Scopes []string  `json:"c,omitempty"` // consent is asked for these
	Host   string    `json:"h,omitempty"` // where the answer will lead, for the consent page
	Hint   string    `json:"u,omitempty"` // who is expected: a name to offer
	Other  bool      `json:"o,omitempty"` // whoever is signed in will not do
	Back   string    `json:"b"`           // a path of ours
	Person string    `json:"p,omitempty"` // id of whom the consent page was shown to; nobody else's answer counts
	Until  time.Time `json:"e"`
}

const askLife = time.Hour // as long as a remembered request

// sealAsk returns a sealed for the query, for an hour unless it says until when.
func (h *Handler) sealAsk(org string, a Ask) string {
	if a.Until.IsZero() {
		a.Until = h.Now().Add(askLife)
	}
	return h.seal("ask\x00"+org, a)
}

// seal returns a question for the query of the pages that name is for: no other page takes it.
func (h *Handler) seal(name string, question any) string {
	b, err := json.Marshal(question)
	if err != nil {
		panic(err) // a struct of strings and times
	}
	return base64.RawURLEncoding.EncodeToString(h.Sealer.Seal(name, b))
}

// open opens what seal sealed under that name.
func (h *Handler) open(name, text string, question any) error {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // which a decoder skips
		return errAsk
	}
	b, err := h.Sealer.Open(name, sealed)
	if err != nil || json.Unmarshal(b, question) != nil {
		return errAsk
	}
	return nil
}

var (
	errAsk     = errors.New("the question in the address is not ours")
	errExpired = errors.New("the question in the address is older than an hour")
)

// openAsk opens what sealAsk sealed; with errExpired it returns the question too, to say where one may begin again. No
// question at all is the plain way in: to the launcher.
func (h *Handler) openAsk(r *http.Request) (Ask, error) {
	text := r.URL.Query().Get("ask")
	if text == "" {
		return Ask{Back: "/apps"}, nil
	}
	var a Ask
	if err := h.open("ask\x00"+idp.OrgOf(r.Context()).ID, text, &a); err != nil {
		return Ask{}, err
	}
	if h.Now().After(a.Until) {
		return a, errExpired
	}
	return a, nil
}

// SendSignIn sends the browser to sign in for a, and from there to a.Back; a person who does not want to comes back to
// OAuth's with &refused=1 behind, and is offered no way back to any other.
func (h *Handler) SendSignIn(w http.ResponseWriter, r *http.Request, a Ask) {
	h.send(w, r, "/signin", a)
}

// SendConsent sends the browser to consent to a.Scopes for a.App, and from there to a.Back; a person who refuses comes
// back to it with &refused=1 behind.
func (h *Handler) SendConsent(w http.ResponseWriter, r *http.Request, a Ask) {
	h.send(w, r, "/consent", a)
}

func (h *Handler) send(w http.ResponseWriter, r *http.Request, path string, a Ask) {
	if !ownPath(a.Back) {
		a.Back = "/apps"
	}
	u := path + "?ask=" + h.sealAsk(idp.OrgOf(r.Context()).ID, a)
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, u, http.StatusSeeOther)
}

// ownPath tells if back is a path of this house and nothing a browser could read as another place.
func ownPath(back string) bool {
	if !strings.HasPrefix(back, "/") || strings.HasPrefix(back, "//") || strings.ContainsAny(back, "\\\r\n\t") {
		return false
	}
	u, err := url.Parse(back)
	return err == nil && u.Host == "" && u.Scheme == "" && !strings.HasPrefix(u.Path, "//")
}

// with adds name=1 to the query of a path of ours.
func with(path, name string) string {
	if strings.Contains(path, "?") {
		return path + "&" + name + "=1"
	}
	return path + "?" + name + "=1"
}
