package oidc

// ReadParameters is the parameters of a query or form.
func ReadParameters(raw string) (map[string]string, error) {
	p := params{}
	return p, p.add(raw)
}

// What the fuzz tests need to see.
var (
	ReadScope  = readScope
	ReadCheck  = readCheck
	HeaderText = headerText
)
