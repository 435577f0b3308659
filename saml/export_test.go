package saml

import (
	"net/http"
	"net/http/httptest"
	"time"
)

// Parse reads the request that r carries as the ladder does, without a store: all rungs that only read, and none that
// looks for the app. It returns what was understood. It is here for the fuzz tests, which need thousands a second.
func Parse(r *http.Request, now time.Time) (id, relayState string, err error) {
	j := &judgement{w: httptest.NewRecorder(), r: r, now: now, site: &Site{Base: "https://idp.example"}, sp: &ServiceProvider{EntityID: "https://sp-a.example/meta"}}
	refused, err := j.climb(func(rung Rung) bool {
		switch rung.Name {
		case "IssueInstant", "Issuer", "Signature", "Blocked", "AssertionConsumerService", "Address":
			return false
		}
		return rung.Side != Person
	})
	switch {
	case err != nil:
		panic(err) // a fault of ours
	case refused != nil:
		return "", "", refused.err
	}
	return j.login.RequestID, j.login.RelayState, nil
}

// Fields is the parameters of the bindings in a query or form, decoded.
func Fields(raw string) (map[string]string, error) {
	f, err := readFields(raw)
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for name := range f {
		if all[name], _, err = f.value(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// The readers of small things.
var (
	ReadInstant  = readInstant
	ReadDuration = readDuration
)
