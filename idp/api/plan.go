package api

import (
	"fmt"
	"sort"
	"strings"
)

// Plan is what an apply does, or would do.
type Plan struct {
	Lines  []Line   `json:"lines"`
	Notes  []string `json:"notes"` // what an admin should know and no line says
	Add    int      `json:"add"`
	Change int      `json:"change"`
	Delete int      `json:"delete"`
}

// Line is one thing that is made, changed or deleted.
type Line struct {
	Op      string   `json:"op"` // + ~ -
	Kind    string   `json:"kind"`
	Name    string   `json:"name"`
	Changes []Change `json:"changes,omitempty"`
}

// Change is one key of a thing that is changed; secrets are never told.
type Change struct {
	Key string `json:"key"`
	Old string `json:"old"`
	New string `json:"new"`
}

const hidden = "(secret)"

func (c Change) String() string {
	show := func(s string) string {
		if s == "" {
			return "(none)"
		}
		return s
	}
	return c.Key + ": " + show(c.Old) + " → " + show(c.New)
}

// what says a line's changes for the event.
func (l Line) what() string {
	parts := make([]string, len(l.Changes))
	for i, c := range l.Changes {
		parts[i] = c.String()
	}
	return strings.Join(parts, "; ")
}

// String is the plan as SURFACE.md §1 writes it.
func (p *Plan) String() string {
	var b strings.Builder
	for _, l := range p.Lines {
		if l.Op != "~" {
			fmt.Fprintf(&b, "%s %s/%s\n", l.Op, l.Kind, l.Name)
			continue
		}
		for _, c := range l.Changes {
			fmt.Fprintf(&b, "~ %s/%s %s\n", l.Kind, l.Name, c)
		}
	}
	for _, n := range p.Notes {
		fmt.Fprintf(&b, "! %s\n", n)
	}
	if p.Empty() {
		b.WriteString("no changes\n")
	} else {
		fmt.Fprintf(&b, "%d to add, %d to change, %d to delete\n", p.Add, p.Change, p.Delete)
	}
	return b.String()
}

// Empty tells if there is nothing to do.
func (p *Plan) Empty() bool { return len(p.Lines) == 0 }

func (p *Plan) line(op, kind, name string, changes ...Change) *Line {
	switch op {
	case "+":
		p.Add++
	case "~":
		p.Change++
	case "-":
		p.Delete++
	}
	p.Lines = append(p.Lines, Line{op, kind, name, changes})
	return &p.Lines[len(p.Lines)-1]
}

func (p *Plan) note(format string, args ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, args...))
}

// defaults is what an absent key means, where that is something; a plan says it.
var defaults = map[string]string{
	"active": "true", "emailVerified": "true", "type": "person",
	"launcher.visible": "true", "launcher.order": "0",
	"saml.sign.response": "true", "saml.sign.assertion": "true", "saml.requireSignedRequests": "false", "saml.authnContext": "lenient",
	"saml.nameID.force": "false", "saml.allowHTTP": "false", "saml.validity": "5m", "saml.skew": "3m",
	"oauth.type": "web", "oauth.requirePKCE": "auto", "oauth.introspect": "own", "oauth.rotateRefreshTokens": "auto",
	"oauth.accessToken.lifetime": "1h", "oauth.idToken.lifetime": "1h", "oauth.idToken.claims": "requested",
	"oauth.flows.authorizationCode": "false", "oauth.flows.refresh": "false", "oauth.flows.clientCredentials": "false",
	"policy.blocked": "false",
}

// compare tells in which keys two documents of one thing differ.
func compare(old, now any) []Change {
	a, b := flatten(old), flatten(now)
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	var changes []Change
	for k := range keys {
		if same(a[k], b[k]) {
			continue
		}
		c := Change{k, oneLine(a[k]), oneLine(b[k])}
		if a[k] == nil {
			c.Old = defaults[k]
		}
		if b[k] == nil {
			c.New = defaults[k]
		}
		changes = append(changes, c)
	}
	sort.Slice(changes, func(i, j int) bool { return changes[i].Key < changes[j].Key })
	return changes
}
