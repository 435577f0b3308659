package saml

import (
	"fmt"
	"slices"
)

// fillable are the name formats that can be given to any person; another one only where the app's settings say what is
// to stand in it.
var fillable = []string{FormatEmail, FormatPersistent, FormatTransient, FormatUnspecified}

// NameIDFormatFor chooses the NameID format of a response: a URN, or FormatNone. asked is the Format of the request's
// NameIDPolicy, empty where it has none. A format that can not be given is an *Error with InvalidNameIDPolicy (Core
// §3.4.1.1).
func (sp *ServiceProvider) NameIDFormatFor(asked string) (string, error) {
	switch {
	case sp.ForceNameIDFormat && sp.NameIDFormat != "":
		return sp.NameIDFormat, nil
	case asked == "" || asked == FormatUnspecified:
		return sp.ownFormat(), nil
	case asked == sp.ownFormat(), asked == FormatTransient, asked == FormatPersistent:
		return asked, nil
	case slices.Contains(sp.NameIDFormats, asked) && slices.Contains(fillable, asked):
		return asked, nil
	case slices.Contains(sp.NameIDFormats, asked):
		return "", badPolicy(fmt.Sprintf("the format %s is in the app's metadata, but what to put in it is not known: set nameID.format and nameID.source", clip(asked)))
	}
	return "", badPolicy(fmt.Sprintf("the format %s is neither the app's nor in its metadata: set nameID.format, or nameID.force to send the app's own whatever is asked", clip(asked)))
}

// ownFormat is the format where the request leaves it open.
func (sp *ServiceProvider) ownFormat() string {
	if sp.NameIDFormat != "" {
		return sp.NameIDFormat
	}
	for _, f := range sp.NameIDFormats {
		if slices.Contains(fillable, f) {
			return f
		}
	}
	return FormatEmail
}

func badPolicy(reason string) *Error {
	return &Error{Status: StatusRequester, Sub: StatusInvalidNameIDPolicy, Code: "InvalidSettings", Reason: reason}
}
