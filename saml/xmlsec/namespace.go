package xmlsec

// lookup finds what prefix stands for; ok is false if nothing declares it.
func lookup(scope []decl, prefix string) (uri string, ok bool) {
	for i := len(scope) - 1; i >= 0; i-- {
		if scope[i].prefix == prefix {
			return scope[i].uri, true
		}
	}
	return "", false
}

// declare brings the namespace declarations of the start tag just read into force (Namespaces §2.2, §3).
func (p *parser) declare(e *Element) error {
	for i := range p.raw {
		a := &p.raw[i]
		d := decl{a.local, a.value}
		switch {
		case a.qname == "xmlns":
			d.prefix = ""
		case a.prefix != "xmlns":
			continue
		}
		switch {
		case d.prefix == "xml" && d.uri == xmlSpace:
			continue // "It MAY, but need not, be declared"
		case d.prefix == "xml" || d.prefix == "xmlns" || d.uri == xmlSpace || d.uri == xmlnsSpace:
			return p.fail(a.at, "%s declares what is reserved", clip(a.qname))
		case d.uri == "" && d.prefix != "":
			return p.fail(a.at, "%s is declared as nothing", clip(a.qname))
		case len(d.uri) > maxURI:
			return p.fail(a.at, "the namespace URI of %s is longer than %d bytes", clip(a.qname), maxURI)
		case d.uri != "" && !isAbsolute(d.uri):
			return p.fail(a.at, "the namespace URI %q is not an absolute URI", clip(d.uri))
		case len(p.scope) >= maxScope:
			return p.fail(a.at, "more than %d namespace declarations are in force", maxScope)
		}
		p.scope = append(p.scope, d)
		e.decls = append(e.decls, d)
	}
	return nil
}

// resolve gives e the attributes of the start tag just read.
func (p *parser) resolve(e *Element) error {
	n := 0
	for i := range p.raw {
		if a := &p.raw[i]; a.prefix != "xmlns" && a.qname != "xmlns" {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	e.Attrs = make([]Attr, 0, n)
	hasID := false
	for i := range p.raw {
		a := &p.raw[i]
		var uri string // an attribute without prefix is in no namespace
		switch {
		case a.prefix == "xmlns" || a.qname == "xmlns":
			continue
		case a.prefix == "xml":
			uri = xmlSpace
		case a.prefix != "":
			var ok bool
			if uri, ok = lookup(p.scope, a.prefix); !ok {
				return p.fail(a.at, "the prefix %q is not declared", clip(a.prefix))
			}
		}
		name := Name{uri, a.local}
		if _, twice := e.AttrIn(name.Space, name.Local); twice && uri != "" { // Namespaces §6.3
			return p.fail(a.at, "<%s> has the attribute %s twice, by two prefixes of one namespace", clip(e.qname()), clip(a.local))
		}
		e.Attrs = append(e.Attrs, Attr{name, a.prefix, a.value})
		if a.local != "ID" && a.local != "Id" && a.local != "id" {
			continue
		}
		switch _, taken := p.ids[a.value]; {
		case hasID:
			return p.fail(a.at, "<%s> has more than one ID", clip(e.qname()))
		case taken:
			return p.fail(a.at, "the ID %q is given twice", clip(a.value))
		case uri == xmlSpace && !isNCName(a.value):
			return p.fail(a.at, "xml:id is not a name")
		}
		hasID = true
		if p.ids == nil {
			p.ids = make(map[string]struct{})
		}
		p.ids[a.value] = struct{}{}
	}
	return nil
}
