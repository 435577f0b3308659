package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/lanyard-sso/lanyard/oidc"
)

// unmarshaler is a value with a form of its own.
type unmarshaler interface{ unmarshal(*yaml.Node) error }

func (s *Strings) unmarshal(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		*s = Strings{n.Value}
	case n.Kind == yaml.SequenceNode:
		for _, x := range n.Content {
			if x.Kind != yaml.ScalarNode || x.Tag == "!!null" {
				return errors.New("must be a text or a list of texts")
			}
			*s = append(*s, x.Value)
		}
	default:
		return errors.New("must be a text or a list of texts")
	}
	return nil
}

func (a *AuthnContext) unmarshal(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.ScalarNode && (n.Value == "lenient" || n.Value == "strict"):
		*a = AuthnContext(n.Value)
	case n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Value == "always" && n.Content[1].Kind == yaml.ScalarNode:
		*a = AuthnContext(n.Content[1].Value)
	default:
		return errors.New("must be lenient, strict, or {always: URN}")
	}
	return nil
}

func (e *Encryption) unmarshal(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.MappingNode:
		return errors.New("{mode: …} is not supported yet; there is off")
	case n.Kind != yaml.ScalarNode:
		return errors.New("must be a text")
	}
	*e = Encryption(n.Value)
	return nil
}

// JWKS is a client's public keys: a JWK Set, written as YAML or JSON.
type JWKS struct{ *oidc.KeySet }

func (j *JWKS) unmarshal(n *yaml.Node) error {
	v, err := plainValue(n, 0)
	if err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	set, err := oidc.ReadKeySet(text)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "it ")) // oauth.jwks stands in front
	}
	j.KeySet = set
	return nil
}

// plainValue is what a node holds, its scalars as the texts that they are in a JWK, however much they look like numbers.
func plainValue(n *yaml.Node, depth int) (any, error) {
	switch {
	case depth > 8:
		return nil, errors.New("is nested too deeply")
	case n.Kind == yaml.ScalarNode:
		return n.Value, nil
	case n.Kind == yaml.SequenceNode:
		list := []any{}
		for _, x := range n.Content {
			v, err := plainValue(x, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case n.Kind == yaml.MappingNode:
		all := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			name := n.Content[i].Value
			if _, ok := all[name]; ok {
				return nil, fmt.Errorf("has the member %q twice", name)
			}
			v, err := plainValue(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			all[name] = v
		}
		return all, nil
	}
	return nil, errors.New("has an alias; write the value out")
}

// node is the set in YAML. What is JSON is YAML; it is only written more spaciously.
func (j JWKS) node() *yaml.Node {
	var n yaml.Node
	text, err := j.MarshalJSON()
	if err == nil {
		err = yaml.Unmarshal(text, &n)
	}
	if err != nil {
		panic("api: " + err.Error()) // texts only
	}
	return spacious(n.Content[0])
}

func spacious(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.ScalarNode {
		return scalar(n.Value)
	}
	n.Style = 0
	for i, x := range n.Content {
		n.Content[i] = spacious(x)
	}
	return n
}

// Duration is a duration as SURFACE.md §3 writes it: Go's, and d for days.
type Duration time.Duration

func (d *Duration) unmarshal(n *yaml.Node) error {
	v, err := ParseDuration(n.Value)
	if err == nil && v == 0 {
		return errors.New("must be longer than nothing; leave the key out for its default")
	}
	*d = Duration(v)
	return err
}

// ParseDuration reads a duration as Go writes it, with d for days of 24 hours ("30d", "1d12h").
func ParseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no duration; write it like 90s, 15m, 2h or 30d", text)
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		days, rest = "0", text
	}
	n, err := strconv.Atoi(days)
	if err != nil || n < 0 || n > 36500 {
		return 0, bad
	}
	var v time.Duration
	if rest != "" {
		if v, err = time.ParseDuration(rest); err != nil || v < 0 {
			return 0, bad
		}
	} else if !ok {
		return 0, bad
	}
	d := time.Duration(n) * 24 * time.Hour
	if d+v < d { // longer than can be said
		return 0, bad
	}
	return d + v, nil
}

// Date is a day or a moment, to the second; a day ends where the next begins, UTC. The zero time means "without end", so no
// text may become it.
type Date struct{ time.Time }

func (d *Date) unmarshal(n *yaml.Node) error {
	t, err := time.Parse(time.DateOnly, n.Value)
	if err == nil {
		t = t.AddDate(0, 0, 1)
	} else {
		t, err = time.Parse(time.RFC3339, n.Value)
	}
	if err != nil || t.Year() < 1970 || t.Year() > 9998 {
		return errors.New("must be a day like 2027-01-31 or a time like 2027-01-31T12:00:00Z")
	}
	d.Time = t.UTC().Truncate(time.Second)
	return nil
}
