package api

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/apps"
)

// Doc is one document of a file, decoded and placed.
type Doc struct {
	File string
	Line int
	Kind string
	// Value is a *UserDoc, *NamedDoc (a group), *ProfileDoc, *PermissionSetDoc, *ScopeDoc or *AppDoc.
	Value any
	lines map[string]int // line of every key, by its path
}

// At returns FILE:LINE of the key at path ("oauth.redirectURIs[0]"), or of what stands nearest above it.
func (d *Doc) At(path string) string {
	for {
		if n, ok := d.lines[path]; ok {
			return d.File + ":" + strconv.Itoa(n)
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.File + ":" + strconv.Itoa(d.Line)
		}
		path = path[:i]
	}
}

// Fault is one thing wrong with a declaration, with the place where it stands.
type Fault struct{ At, Text string }

func (f Fault) Error() string { return f.At + ": " + f.Text }

// Faults is everything wrong with a declaration. Nothing of it is applied.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].Error()
	}
	return strings.Join(lines, "\n")
}

const (
	maxFile  = 32 << 20
	maxDepth = 32
)

// Decode reads all documents of a file. Unknown keys, keys given twice, wrong types and keys whose effect is not built
// are faults; all are returned at once.
func Decode(file string, r io.Reader) ([]*Doc, Faults) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, Faults{{file, err.Error()}}
	}
	if len(b) > maxFile {
		return nil, Faults{{file, fmt.Sprintf("larger than %d MiB", maxFile>>20)}}
	}
	if !utf8.Valid(b) {
		return nil, Faults{{file, "not UTF-8"}}
	}
	var docs []*Doc
	var faults Faults
	d := yaml.NewDecoder(bytes.NewReader(b))
	for {
		var n yaml.Node
		err := d.Decode(&n)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, append(faults, syntax(file, b, err))
		}
		if len(n.Content) == 0 || n.Content[0].Tag == "!!null" {
			continue // only comments between two ---
		}
		doc, more := decodeDoc(file, n.Content[0])
		faults = append(faults, more...)
		if doc != nil {
			docs = append(docs, doc)
		}
	}
	return docs, faults
}

// syntax places what the YAML parser says at its line.
func syntax(file string, b []byte, err error) Fault {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if n, rest, ok := strings.Cut(strings.TrimPrefix(text, "line "), ": "); ok {
		if _, err := strconv.Atoi(n); err == nil {
			return Fault{file + ":" + n, "this is not YAML: " + rest}
		}
	}
	if _, name, ok := strings.Cut(text, "unknown anchor '"); ok { // it comes without a line
		name, _, _ = strings.Cut(name, "'")
		before, _, _ := bytes.Cut(b, []byte("*"+name))
		return Fault{file + ":" + strconv.Itoa(1+bytes.Count(before, []byte("\n"))), "aliases are not taken; write the value out, or quote a text that begins with *"}
	}
	return Fault{file, "this is not YAML: " + text}
}

func decodeDoc(file string, n *yaml.Node) (*Doc, Faults) {
	d := &decoder{doc: &Doc{File: file, Line: n.Line, lines: map[string]int{}}}
	if n.Kind != yaml.MappingNode {
		d.fault(n, "a document must be a mapping with a kind, like `kind: App`")
		return nil, d.faults
	}
	kind := ""
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == "kind" {
			kind = n.Content[i+1].Value
		}
	}
	switch d.doc.Kind = kind; kind {
	case "User":
		d.doc.Value = &UserDoc{}
	case "Group":
		d.doc.Value = &NamedDoc{}
	case "Profile":
		d.doc.Value = &ProfileDoc{}
	case "PermissionSet":
		d.doc.Value = &PermissionSetDoc{}
	case "Scope":
		d.doc.Value = &ScopeDoc{}
	case "App":
		d.doc.Value = &AppDoc{}
	case "Org", "TrustedIssuer":
		d.fault(n, "kind "+kind+" is not supported yet")
		return nil, d.faults
	case "":
		d.fault(n, "the document has no kind; it is one of "+strings.Join(kinds, ", "))
		return nil, d.faults
	default:
		d.fault(n, fmt.Sprintf("unknown kind %q%s", kind, didYouMean(kind, kinds)))
		return nil, d.faults
	}
	d.value(n, reflect.ValueOf(d.doc.Value).Elem(), "", 0)
	return d.doc, d.faults
}

var kinds = []string{"User", "Group", "Profile", "PermissionSet", "Scope", "App"}

type decoder struct {
	doc    *Doc
	faults Faults
}

func (d *decoder) fault(n *yaml.Node, text string) {
	d.faults = append(d.faults, Fault{d.doc.File + ":" + strconv.Itoa(n.Line), text})
}

// value decodes n into v, which stands at path.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string, depth int) {
	if depth > maxDepth {
		d.fault(n, "nested too deeply")
		return
	}
	if n.Kind == yaml.AliasNode {
		d.fault(n, "aliases are not taken; write the value out")
		return
	}
	if _, ok := d.doc.lines[path]; !ok && path != "" {
		d.doc.lines[path] = n.Line
	}
	if v.CanAddr() {
		if u, ok := v.Addr().Interface().(unmarshaler); ok {
			if err := u.unmarshal(n); err != nil {
				d.fault(n, where(path)+err.Error())
			}
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), path, depth)
	case reflect.Struct:
		d.mapping(n, v, path, depth)
	case reflect.Slice:
		d.list(n, v, path, depth)
	case reflect.Map:
		d.table(n, v, path, depth)
	case reflect.String:
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			d.fault(n, where(path)+"must be a text")
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		var b bool
		if err := n.Decode(&b); err != nil || n.Tag != "!!bool" {
			d.fault(n, where(path)+"must be true or false")
			return
		}
		v.SetBool(b)
	case reflect.Int:
		i, err := strconv.Atoi(n.Value)
		if err != nil || n.Tag != "!!int" {
			d.fault(n, where(path)+"must be a whole number")
			return
		}
		v.SetInt(int64(i))
	}
}

func where(path string) string {
	if path == "" {
		return ""
	}
	return path + " "
}

// mapping decodes a mapping into a struct by its doc tags.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, where(path)+"must be a mapping of keys to values")
		return
	}
	fields := fieldsOf(v.Type())
	seen := map[string]bool{}
	for i := 0; i < len(n.Content); i += 2 {
		k, x := n.Content[i], n.Content[i+1]
		f, ok := fields[k.Value]
		if !ok {
			var names []string
			for name := range fields {
				names = append(names, name)
			}
			d.fault(k, fmt.Sprintf("unknown key %q%s", k.Value, didYouMean(k.Value, names)))
			continue
		}
		at := k.Value
		if path != "" {
			at = path + "." + k.Value
		}
		d.doc.lines[at] = k.Line
		switch {
		case seen[k.Value]:
			d.fault(k, fmt.Sprintf("key %q is given twice", k.Value))
		case f.later && !off(x):
			d.fault(k, at+" is not supported yet")
		case f.later || x.Tag == "!!null":
			// A switch that is off asks for nothing, and an empty value means the default.
		default:
			d.value(x, v.FieldByIndex(f.index), at, depth+1)
		}
		seen[k.Value] = true
	}
}

// off tells if a value asks for nothing: false, nothing, an empty list or mapping.
func off(n *yaml.Node) bool {
	return n.Tag == "!!null" || n.Tag == "!!bool" && (n.Value == "false") || n.Kind != yaml.ScalarNode && len(n.Content) == 0
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, where(path)+"must be a list")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, x := range n.Content {
		d.value(x, v.Index(i), fmt.Sprintf("%s[%d]", path, i), depth+1)
	}
}

func (d *decoder) table(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, where(path)+"must be a mapping of keys to values")
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for i := 0; i < len(n.Content); i += 2 {
		k := reflect.ValueOf(n.Content[i].Value)
		if v.MapIndex(k).IsValid() {
			d.fault(n.Content[i], fmt.Sprintf("key %q is given twice", n.Content[i].Value))
			continue
		}
		x := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], x, path+"."+n.Content[i].Value, depth+1)
		v.SetMapIndex(k, x)
	}
}

type field struct {
	index []int
	later bool
}

// fieldsOf returns the keys of a struct, those of embedded structs among them.
func fieldsOf(t reflect.Type) map[string]field {
	fields := map[string]field{}
	for _, f := range reflect.VisibleFields(t) {
		name, opt, _ := strings.Cut(f.Tag.Get("doc"), ",")
		if name != "" {
			fields[name] = field{f.Index, opt == "later"}
		}
	}
	return fields
}

// name is what the document's thing is called.
func (d *Doc) name() string {
	switch v := d.Value.(type) {
	case *UserDoc:
		return v.Username
	case *AppDoc:
		if v.APIName != "" {
			return v.APIName
		}
		return v.Name
	case *NamedDoc:
		return v.Name
	case *ProfileDoc:
		return v.Name
	case *PermissionSetDoc:
		return v.Name
	case *ScopeDoc:
		return v.Name
	}
	return ""
}

// key is the name by which two documents are of one thing.
func (d *Doc) key() string {
	switch v := d.Value.(type) {
	case *UserDoc:
		return idp.NameKey(v.Username)
	case *AppDoc:
		if v.APIName == "" {
			return apps.ProposeName(v.Name)
		}
	}
	return d.name()
}

// nameKey is the key under which a document says its name.
func nameKey(d *Doc) string {
	if d.Kind == "User" {
		return "username"
	}
	return "name"
}

func headOf(d *Doc) head {
	switch v := d.Value.(type) {
	case *UserDoc:
		return v.head
	case *AppDoc:
		return v.head
	case *NamedDoc:
		return v.head
	case *ProfileDoc:
		return v.head
	case *PermissionSetDoc:
		return v.head
	case *ScopeDoc:
		return v.head
	}
	return head{}
}
