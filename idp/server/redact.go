package server

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// Redact is for slog.HandlerOptions.ReplaceAttr. Nothing that is secret is logged anywhere in the house; this is for the
// line that forgets: an attribute named like a secret has no value, and what quotes others (errors, panics) loses
// passwords in addresses, the secret half of our own id.secret values, and the values of parameters that carry secrets.
func Redact(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case "error", "panic", "stack", "reason":
		a.Value = slog.StringValue(quoted(text(a.Value)))
	default:
		if len(a.Key) <= 32 && secretName[strings.ToLower(a.Key)] {
			a.Value = slog.StringValue("(secret)")
		}
	}
	return a
}

func text(v slog.Value) string {
	if v.Kind() == slog.KindString {
		return v.String()
	}
	return fmt.Sprint(v.Any())
}

var secretName = func() map[string]bool {
	all := map[string]bool{}
	for _, n := range strings.Fields(`password secret client_secret token access_token refresh_token id_token code_verifier cookie set-cookie
		authorization samlrequest samlresponse relaystate assertion client_assertion dsn master_key`) {
		all[n] = true
	}
	return all
}()

var (
	userinfo  = regexp.MustCompile(`(://[^/\s:@"]*):[^@\s"]*@`)
	bearer    = regexp.MustCompile(`\b([0-9a-zA-Z!_-]{1,64}\.)[A-Za-z0-9_-]{43}\b`)
	parameter = regexp.MustCompile(`(?i)\b(password|secret|client_secret|token|access_token|refresh_token|id_token|id_token_hint|code|code_verifier|SAMLRequest|SAMLResponse|RelayState|assertion|client_assertion|ask|link)=[^&\s"']+`)
)

func quoted(s string) string {
	s = userinfo.ReplaceAllString(s, "$1:(secret)@")
	s = bearer.ReplaceAllString(s, "$1(secret)")
	return parameter.ReplaceAllString(s, "$1=(secret)")
}
