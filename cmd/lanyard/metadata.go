package main

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp/apps"
	"github.com/lanyard-sso/lanyard/idp/server"
	"github.com/lanyard-sso/lanyard/saml"
)

type metadataCmd struct {
	Lint metadataLintCmd `cmd:"" help:"Say what a service provider's metadata says, and what is wrong with it."`
}

type metadataLintCmd struct {
	output
	AllowFetch []cidr `help:"Private addresses that may be fetched from." placeholder:"CIDR"`
	From       string `arg:"" name:"file|url" help:"File, URL, or - for standard input."`
}

func (metadataLintCmd) Help() string {
	return `Exits 0 when the metadata can be imported, with or without remarks, and 1 with one sentence when it can not.

Examples:

    lanyard metadata lint benefits-sp.xml
    lanyard metadata lint https://wiki.example.com/Shibboleth.sso/Metadata -o json`
}

func (c metadataLintCmd) Run(g *globals) error {
	b, err := readMetadata(g, &house{ctx: g.ctx, fetcher: server.NewFetcher(prefixes(c.AllowFetch))}, c.From)
	if err != nil {
		return err
	}
	d, err := saml.ReadMetadata(b, time.Now())
	if err != nil {
		return err
	}
	if err := importable(d, isURL(c.From)); err != nil {
		return err
	}
	return c.print(g.out, lintOf(d), func(w io.Writer) {
		for _, e := range d.Entities {
			fmt.Fprintln(w, e.EntityID)
			for _, a := range e.ACS {
				index := ""
				if a.Index >= 0 {
					index = fmt.Sprintf(" index %d", a.Index)
				}
				if a.Default == "true" {
					index += ", default"
				}
				fmt.Fprintf(w, "  ACS          %s (%s)%s\n", a.URL, a.Binding[strings.LastIndex(a.Binding, ":")+1:], index)
			}
			for _, x := range e.Certificates {
				fmt.Fprintf(w, "  Certificate  %s\n", viewCertificate(x))
			}
			if e.AuthnRequestsSigned {
				fmt.Fprintln(w, "  It signs its requests: unsigned ones will be refused.")
			}
		}
		for _, r := range d.Remarks {
			where := ""
			if len(d.Entities) > 1 && r.Entity != "" {
				where = r.Entity + ": "
			}
			fmt.Fprintf(w, "remark: %s%s %s\n", where, r.Text, r.Fix)
		}
		fmt.Fprintln(w, "It can be imported.")
	})
}

// importable tells why no app can be made of what d describes. Of several service providers one is enough; those of which
// none can be made get a remark. What was fetched must be current too.
func importable(d *saml.Descriptor, fetched bool) error {
	var first error
	can := 0
	for i := range d.Entities {
		e := &d.Entities[i]
		var err error
		if faults := apps.CheckMetadata(&e.ServiceProvider); len(faults) > 0 {
			err = faults[0]
		} else if fetched {
			err = d.Current(e)
		}
		if err == nil {
			can++
			continue
		}
		if len(d.Entities) == 1 {
			return err
		}
		if first == nil {
			first = fmt.Errorf("none of the %d service providers can be imported; of %s: %w", len(d.Entities), e.EntityID, err)
		}
		d.Remarks = append(d.Remarks, saml.Remark{Entity: e.EntityID, Code: "not-importable",
			Text: fmt.Sprintf("It can not be imported: %s.", err), Fix: "Ask the service provider for complete metadata."})
	}
	if can == 0 {
		return first
	}
	return nil
}

// lint is what `metadata lint` prints as JSON.
type lint struct {
	Entities []lintEntity  `json:"entities"`
	Remarks  []saml.Remark `json:"remarks"`
}

type lintEntity struct {
	EntityID            string            `json:"entityID"`
	Title               string            `json:"title,omitempty"`
	ACS                 []saml.Endpoint   `json:"acs"`
	SLO                 []saml.Endpoint   `json:"slo"`
	Certificates        []lintCertificate `json:"certificates"`
	NameIDFormats       []string          `json:"nameIDFormats"`
	AuthnRequestsSigned bool              `json:"authnRequestsSigned"`
}

type lintCertificate struct {
	Use               string    `json:"use"` // signing, encryption or both
	Subject           string    `json:"subject"`
	Key               string    `json:"key"`
	NotAfter          time.Time `json:"notAfter"`
	FingerprintSHA256 string    `json:"fingerprintSHA256"`
}

func (c lintCertificate) String() string {
	return fmt.Sprintf("%s, %s, %s, until %s", c.Use, c.Key, c.Subject, c.NotAfter.Format(time.DateOnly))
}

func lintOf(d *saml.Descriptor) lint {
	l := lint{Entities: []lintEntity{}, Remarks: d.Remarks}
	for _, e := range d.Entities {
		v := lintEntity{e.EntityID, e.Title, e.ACS, e.SLO, []lintCertificate{}, e.NameIDFormats, e.AuthnRequestsSigned}
		if v.SLO == nil {
			v.SLO = []saml.Endpoint{}
		}
		if v.NameIDFormats == nil {
			v.NameIDFormats = []string{}
		}
		for _, c := range e.Certificates {
			v.Certificates = append(v.Certificates, viewCertificate(c))
		}
		l.Entities = append(l.Entities, v)
	}
	return l
}

func viewCertificate(c saml.Certificate) lintCertificate {
	sum := sha256.Sum256(c.DER)
	v := lintCertificate{Use: c.Use, FingerprintSHA256: strings.ToUpper(hex.EncodeToString(sum[:]))}
	if v.Use == "" {
		v.Use = "both"
	}
	x, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return v
	}
	v.Subject, v.NotAfter = x.Subject.String(), x.NotAfter.UTC()
	switch k := x.PublicKey.(type) {
	case *rsa.PublicKey:
		v.Key = fmt.Sprintf("RSA %d bit", k.Size()*8)
	case *ecdsa.PublicKey:
		v.Key = "EC " + k.Params().Name
	default:
		v.Key = x.PublicKeyAlgorithm.String()
	}
	return v
}
