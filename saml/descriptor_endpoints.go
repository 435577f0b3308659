package saml

import (
	"fmt"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/saml/xmlsec"
)

// knownBinding tells if a binding is one of SAML 2.0, whether it is offered here or not.
func knownBinding(uri string) bool {
	switch strings.TrimPrefix(uri, "urn:oasis:names:tc:SAML:2.0:bindings:") {
	case "HTTP-POST", "HTTP-Redirect", "HTTP-Artifact", "HTTP-POST-SimpleSign", "PAOS", "SOAP":
		return true
	}
	return false
}

// endpoints reads the endpoints of that name (Metadata §2.2.2, §2.2.3). Every address is looked at, used or not: one that
// no browser may be sent to has no business in metadata.
func (r *reader) endpoints(role *xmlsec.Element, name string) ([]Endpoint, error) {
	var all []Endpoint
	for _, e := range role.Children(mdName(name)) {
		var p Endpoint
		var err error
		if p.URL, err = r.address(e, name, "Location"); err != nil {
			return nil, err
		}
		if _, there := e.Attr("ResponseLocation"); there {
			if p.Response, err = r.address(e, name, "ResponseLocation"); err != nil {
				return nil, err
			}
		}
		p.Binding, _ = e.Attr("Binding")
		p.Binding = strings.TrimSpace(p.Binding)
		switch {
		case strings.HasPrefix(p.Binding, "urn:oasis:names:tc:SAML:1."):
			continue // of another protocol that the entity speaks too
		case !knownBinding(p.Binding):
			r.remark("unknown-binding", fmt.Sprintf("%s %s has the binding %q, which is not known; it is left out.", name, p.URL, clip(p.Binding)),
				"If the service provider needs it, ask its makers for metadata with HTTP-POST.")
			continue
		}
		p.Index = -1
		if name == "AssertionConsumerService" {
			r.indexed(e, &p)
		}
		all = append(all, p)
	}
	return all, nil
}

// address reads a URL. White space around it is a slip of whoever wrote the file.
func (r *reader) address(e *xmlsec.Element, name, attr string) (string, error) {
	text, _ := e.Attr(attr)
	address := strings.TrimSpace(text)
	if err := CheckEndpoint(address); err != nil {
		return "", fmt.Errorf("%s of %q can not be used: %w", name, clip(r.entity), err)
	}
	if address != text {
		r.remark("space-in-address", fmt.Sprintf("White space stands around the %s %s of %s; it is left out.", attr, address, name),
			"Ask the service provider to correct its metadata.")
	}
	return address, nil
}

// indexed reads what an indexed endpoint has beside its address.
func (r *reader) indexed(e *xmlsec.Element, p *Endpoint) {
	if text, there := e.Attr("index"); there {
		n, _, err := readIndex(e, "index")
		if err != nil {
			r.remark("bad-index", fmt.Sprintf("The ACS %s has the index %q, which is no number from 0 to 65535; it counts as none.", p.URL, clip(text)),
				"Ask the service provider to correct its metadata.")
		} else {
			p.Index = n
		}
	}
	switch text, _ := e.Attr("isDefault"); text {
	case "":
	case "true", "1":
		p.Default = "true"
	case "false", "0":
		p.Default = "false"
	default:
		r.remark("bad-default", fmt.Sprintf("The ACS %s has isDefault=%q, which is no boolean; it counts as absent.", p.URL, clip(text)),
			"Ask the service provider to correct its metadata.")
	}
}

// checkACS remarks on the addresses that responses would go to.
func (r *reader) checkACS(sp *ServiceProvider) {
	all := sp.posts()
	if len(all) == 0 {
		r.remark("no-acs", "There is no AssertionConsumerService for HTTP-POST, so nobody can be sent to the app.",
			"Ask the service provider for complete metadata, or declare the app without it, by saml.entityID and saml.acs.")
		return
	}
	defaults, seen := 0, map[int]bool{}
	for _, p := range all {
		if PlainHTTP(p.URL) {
			r.remark("http-acs", fmt.Sprintf("The ACS %s is plain http: assertions could be read and stolen on their way.", p.URL),
				"Nothing is sent there until the service provider uses https, or the app says saml.allowHTTP (app create --allow-http).")
		}
		if p.Default == "true" {
			defaults++
		}
		if p.Index >= 0 && seen[p.Index] {
			r.remark("double-index", fmt.Sprintf("Several ACS have the index %d; the first one counts.", p.Index),
				"Ask the service provider to correct its metadata.")
		}
		seen[p.Index] = true
	}
	switch {
	case defaults > 1:
		r.remark("several-defaults", "Several ACS are marked as default; the first one counts.",
			"Ask the service provider to correct its metadata.")
	case defaults == 0 && len(all) > 1:
		r.remark("no-default-acs", "No ACS is marked as default; where a request names none, "+defaultOf(all).URL+" is used.",
			`If that is the wrong one, mark another with isDefault="true" in the metadata.`)
	}
}

// times remarks on how long the description says it is good for (Metadata §2.3.1, §2.3.2, §2.4.1).
func (r *reader) times(e *xmlsec.Element) {
	if text, there := e.Attr("validUntil"); there {
		r.validUntil(strings.TrimSpace(text))
	}
	if text, there := e.Attr("cacheDuration"); there {
		d, ok := readDuration(strings.TrimSpace(text))
		const most = 366 * 24 * time.Hour
		switch {
		case !ok:
			r.remark("bad-cache-duration", fmt.Sprintf("cacheDuration is %q, which is no duration.", clip(text)), "It has no effect on an uploaded file.")
		case d <= 0 || d > most:
			r.remark("absurd-cache-duration", fmt.Sprintf("cacheDuration is %s, which can not be meant.", clip(text)), "It has no effect on an uploaded file.")
		}
	}
}

func (r *reader) validUntil(text string) {
	t, err := readInstant(text)
	if err != nil {
		t, err = time.Parse(time.RFC3339, text)
	}
	if err != nil {
		if t, err = time.Parse("2006-01-02T15:04:05", text); err == nil { // takes fractions too
			r.remark(noTimeZone, fmt.Sprintf("validUntil %s has no time zone; UTC is taken.", clip(text)),
				"Ask the service provider to write it as UTC, ending in Z.")
		}
	}
	switch {
	case err != nil:
		r.remark(badValidUntil, fmt.Sprintf("validUntil is %q, which is no time.", clip(text)), "Ask the service provider for current metadata.")
	case t.Before(r.now):
		r.remark(expiredMetadata, fmt.Sprintf("The metadata was valid until %s.", t.UTC().Format(time.DateOnly)),
			"Ask the service provider for current metadata; keys and addresses may have changed.")
	}
}

// readDuration reads an xs:duration, a month being 30 days and a year 365. What is longer than time.Duration can say is
// as long as it can say.
func readDuration(s string) (d time.Duration, ok bool) {
	s, negative := strings.CutPrefix(s, "-")
	s, ok = strings.CutPrefix(s, "P")
	if !ok || s == "" || strings.HasSuffix(s, "T") {
		return 0, false
	}
	date, clock, _ := strings.Cut(s, "T")
	seconds, ok := addUnits(date, "YMD", 365*86400, 30*86400, 86400)
	more, okClock := addUnits(clock, "HMS", 3600, 60, 1)
	if !ok || !okClock {
		return 0, false
	}
	const most = float64(1 << 32)
	d = time.Duration(min(seconds+more, most) * float64(time.Second))
	if negative {
		d = -d
	}
	return d, true
}

// addUnits reads numbers that are followed by letters of units, in their order.
func addUnits(s, units string, worth ...float64) (sum float64, ok bool) {
	for s != "" {
		n := strings.IndexAny(s, units)
		if n <= 0 {
			return 0, false
		}
		value, digits, dots := 0.0, 0, 0
		scale := 1.0
		for _, c := range s[:n] {
			switch {
			case c >= '0' && c <= '9' && dots == 0:
				value = value*10 + float64(c-'0')
				digits++
			case c >= '0' && c <= '9':
				scale /= 10
				value += float64(c-'0') * scale
			case c == '.' && s[n] == 'S' && digits > 0 && dots == 0:
				dots++
			default:
				return 0, false
			}
		}
		i := strings.IndexByte(units, s[n])
		sum += value * worth[i]
		units, worth, s = units[i+1:], worth[i+1:], s[n+1:]
	}
	return sum, true
}
