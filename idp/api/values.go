package api

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
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
	return time.Duration(n)*24*time.Hour + v, nil
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
