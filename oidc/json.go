package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth   = 8
	maxMembers = 100 // of one object
)

// readObject reads a JSON object strictly. Of two members with one name, or with names that differ only in case,
// encoding/json would quietly take the last: here they are an error, as are text that is not UTF-8, anything behind the
// object, more than 8 levels and more than 100 members.
func readObject(raw []byte) (map[string]any, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := readValue(d, 0); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the object")
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil || all == nil {
		return nil, errors.New("not an object")
	}
	return all, nil
}

// readValue takes one value from d and refuses what readObject says.
func readValue(d *json.Decoder, depth int) error {
	if depth > maxDepth {
		return errors.New("too deep")
	}
	t, err := d.Token()
	if err != nil {
		return errors.New("not JSON")
	}
	open, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	var seen []string
	for d.More() {
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return errors.New("not JSON")
			}
			text, _ := name.(string) // a member's name is a string, or Token has failed
			if len(seen) == maxMembers {
				return errors.New("too many members")
			}
			if slices.ContainsFunc(seen, func(s string) bool { return strings.EqualFold(s, text) }) {
				return errors.New("the member " + clip(text) + " is there twice")
			}
			seen = append(seen, text)
		}
		if err := readValue(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return errors.New("not JSON")
	}
	return nil
}
