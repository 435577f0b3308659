package server_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/lanyard-sso/lanyard/idp/server"
)

// LOG-02: the line that forgets.
func TestRedact(t *testing.T) {
	secret := strings.Repeat("a-Secret_43", 4)[:43]
	for _, c := range []struct {
		name  string
		attr  slog.Attr
		kept  string
		freed string
	}{
		{"named password", slog.String("password", "canary"), `"password":"(secret)"`, "canary"},
		{"named like a header", slog.String("Authorization", "Basic canary"), "(secret)", "canary"},
		{"named SAMLRequest", slog.Any("SAMLRequest", []byte("canary")), "(secret)", "canary"},
		{"a DSN in an error", slog.Any("error", errors.New("dial postgres://lanyard:canary@db:5432/x failed")), "postgres://lanyard:(secret)@db:5432/x failed", "canary"},
		{"a bearer value", slog.Any("error", errors.New("no session 1k10xgh22b1ashdesxwq6tnqjy."+secret+" there")), "1k10xgh22b1ashdesxwq6tnqjy.(secret) there", secret},
		{"a query", slog.String("reason", "GET /cb?code=canary&state=s"), "code=(secret)&state=s", "canary"},
		{"a form in a panic", slog.String("panic", "client_secret=canary&x=1"), "client_secret=(secret)&x=1", "canary"},
		{"what is none stays", slog.Any("error", errors.New("store: code 42: the key is gone.")), "store: code 42: the key is gone.", ""},
		{"an event's code stays", slog.String("code", "InvalidCode"), `"code":"InvalidCode"`, ""},
		{"a number stays", slog.Int("status", 200), `"status":200`, ""},
		{"an error that is none", slog.Any("error", nil), `"error":`, ""},
	} {
		var b bytes.Buffer
		slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{ReplaceAttr: server.Redact})).Info("x", c.attr)
		if got := b.String(); !strings.Contains(got, c.kept) || c.freed != "" && strings.Contains(got, c.freed) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
