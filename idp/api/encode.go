package api

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// encode turns a document into the YAML that decodes to it. What is empty is left out: an absent key is its default.
func encode(v reflect.Value) *yaml.Node {
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case Duration:
			if x == 0 {
				return nil
			}
			return scalar(formatDuration(time.Duration(x)))
		case Date:
			if x.IsZero() {
				return nil
			}
			return scalar(formatDate(x.Time))
		case AuthnContext:
			switch x {
			case "":
				return nil
			case "lenient", "strict":
				return scalar(string(x))
			}
			return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{scalar("always"), scalar(string(x))}}
		case JWKS:
			return x.node()
		case Strings:
			if len(x) == 1 {
				return scalar(x[0])
			}
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() == reflect.Bool {
			return typed("!!bool", fmt.Sprint(v.Elem().Bool()))
		}
		if v.Elem().Kind() == reflect.Int {
			return typed("!!int", fmt.Sprint(v.Elem().Int()))
		}
		return encode(v.Elem())
	case reflect.Struct:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, f := range reflect.VisibleFields(v.Type()) {
			name, opt, _ := strings.Cut(f.Tag.Get("doc"), ",")
			if name == "" || opt == "later" {
				continue
			}
			if x := encode(v.FieldByIndex(f.Index)); x != nil {
				n.Content = append(n.Content, scalar(name), x)
			}
		}
		if len(n.Content) == 0 {
			return nil
		}
		return n
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for i := range v.Len() {
			x := encode(v.Index(i))
			switch {
			case x == nil && v.Type().Elem().Kind() == reflect.Struct:
				x = &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
			case x == nil:
				x = scalar("")
			}
			if x.Kind == yaml.ScalarNode {
				n.Style = yaml.FlowStyle
			}
			n.Content = append(n.Content, x)
		}
		return n
	case reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		keys := v.MapKeys()
		sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, k := range keys {
			if x := encode(v.MapIndex(k)); x != nil {
				n.Content = append(n.Content, scalar(k.String()), x)
			}
		}
		if len(n.Content) == 0 {
			return nil
		}
		return n
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
		return scalar(v.String())
	case reflect.Bool:
		if !v.Bool() {
			return nil
		}
		return typed("!!bool", "true")
	case reflect.Int:
		if v.Int() == 0 {
			return nil
		}
		return typed("!!int", fmt.Sprint(v.Int()))
	}
	return nil
}

func scalar(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	// A literal block can not begin with white space that the parser would take for its indentation.
	if n.Style == yaml.LiteralStyle && strings.IndexAny(s, " \t\n") == 0 {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func typed(tag, s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: s} }

// formatDuration writes a duration as ParseDuration reads it.
func formatDuration(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// formatDate writes an end as Date reads it.
func formatDate(t time.Time) string {
	t = t.UTC()
	if day := t.Truncate(24 * time.Hour); day.Equal(t) {
		return t.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// YAML writes documents with --- between them.
func YAML(docs []any) ([]byte, error) {
	var b bytes.Buffer
	for i, d := range docs {
		if i > 0 {
			b.WriteString("---\n")
		}
		e := yaml.NewEncoder(&b)
		e.SetIndent(2)
		if err := e.Encode(encode(reflect.ValueOf(d))); err != nil {
			return nil, err
		}
		if err := e.Close(); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// JSON turns a document into what encoding/json writes as the same document.
func JSON(d any) (any, error) {
	var v any
	n := encode(reflect.ValueOf(d))
	if n == nil {
		return map[string]any{}, nil
	}
	err := n.Decode(&v)
	return v, err
}

// flatten returns every key of a document with its value on one line, for comparing two of them.
func flatten(d any) map[string]*yaml.Node {
	flat := map[string]*yaml.Node{}
	if n := encode(reflect.ValueOf(d)); n != nil {
		flattenNode(n, "", flat)
	}
	delete(flat, "kind")
	return flat
}

func flattenNode(n *yaml.Node, path string, flat map[string]*yaml.Node) {
	if n.Kind != yaml.MappingNode {
		flat[path] = n
		return
	}
	for i := 0; i < len(n.Content); i += 2 {
		at := n.Content[i].Value
		if path != "" {
			at = path + "." + at
		}
		flattenNode(n.Content[i+1], at, flat)
	}
}

// same tells if two values are one and the same, to the byte.
func same(a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.Value == b.Value && slices.EqualFunc(a.Content, b.Content, same)
}

// oneLine shows a value in a plan.
func oneLine(n *yaml.Node) string {
	if n == nil {
		return ""
	}
	var parts []string
	switch n.Kind {
	case yaml.SequenceNode:
		for _, x := range n.Content {
			parts = append(parts, oneLine(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			parts = append(parts, n.Content[i].Value+": "+oneLine(n.Content[i+1]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	const most = 120
	s := strings.Join(strings.FieldsFunc(n.Value, func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }), " ")
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return s
}
