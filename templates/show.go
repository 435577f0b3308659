package templates

import (
	"hash/fnv"
	"html/template"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// funcs are the functions that templates call, in one language.
func funcs(lang string) template.FuncMap {
	say := func(key string, args ...any) string {
		shown := make([]any, len(args))
		for i, a := range args {
			shown[i] = a
			if s, ok := a.(string); ok {
				shown[i] = name(s)
			}
		}
		return text(lang, key, shown...)
	}
	return template.FuncMap{
		"t": say,
		"say": func(key string, args []any, app string) string { // what a Problem says
			if len(args) == 0 {
				args = []any{app}
			}
			return say(key, args...)
		},
		"has": func(key string) bool { return has(lang, key) },
		"scope": func(s string) string { // a built-in scope in words, and as it is what is words already
			if key := "scope." + s; has(lang, key) {
				return text(lang, key)
			}
			return name(s)
		},
		"device":   func(agent string) string { return device(lang, agent) },
		"name":     name,
		"initials": initials,
		"tint":     tint,
		"stamp":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
		"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"ago":      func(now, then time.Time) string { return ago(lang, now, then) },
		"left":     func(app string, n int) string { return count(lang, "account.left", n, name(app)) },
		"wait":     func(seconds int) string { return wait(lang, seconds) },
	}
}

// nameLength is how many characters of a name are shown: names come from metadata and registration, up to 10 kB of them.
const nameLength = 120

// name returns s fit to be shown as a name: one line, not too long, without the characters that turn the direction of
// the text around them (Unicode TR36 §2.5), which could make one app's name read as another's.
func name(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, unicode.Is(unicode.Bidi_Control, r):
			return -1
		case unicode.IsControl(r), unicode.IsSpace(r):
			return ' '
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if utf8.RuneCountInString(s) > nameLength {
		s = strings.TrimSpace(string([]rune(s)[:nameLength-1])) + "…"
	}
	return s
}

// initials returns the first letters of the first two words of a name; of an email address, those before the @.
func initials(s string) string {
	s, _, _ = strings.Cut(s, "@")
	var letters []rune
	for _, word := range strings.FieldsFunc(name(s), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		first, _ := utf8.DecodeRuneInString(word)
		if letters = append(letters, unicode.ToUpper(first)); len(letters) == 2 {
			break
		}
	}
	if len(letters) == 0 {
		return "?"
	}
	return string(letters)
}

// tints is how many colours of tile the style sheet has: .tint-0 and up.
const tints = 8

// tint returns the colour of a name's tile, always the same for one name.
func tint(s string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))          // never fails
	return int(h.Sum32() >> 8 % tints) // the lowest bits tell similar names apart badly
}

// At returns s as a page leads there: a web address as it is, a path of ours below the base, and of anything else nothing.
// Pages write every address with it.
func (v view) At(s string) string {
	switch {
	case web(s):
		return s
	case strings.HasPrefix(s, "/") && !strings.HasPrefix(s, "//") && !strings.ContainsAny(s, "\\\t\r\n"):
		return v.base + s
	}
	return ""
}

// Away returns s if it is the address of a web page, and of anything else, a path of ours too, nothing.
func (v view) Away(s string) string {
	if web(s) {
		return s
	}
	return ""
}

// web reports whether s is an absolute http or https address.
func web(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// ago says how long before now then was; a time more than a week back, or where now is not known, by its date.
func ago(lang string, now, then time.Time) string {
	const day = 24 * time.Hour
	switch d := now.Sub(then); {
	case now.IsZero() || d >= 7*day:
		return text(lang, "time.on", then.UTC().Format(time.DateOnly))
	case d < time.Minute:
		return text(lang, "time.now")
	case d < time.Hour:
		return count(lang, "time.minutes-ago", int(d/time.Minute))
	case d < day:
		return count(lang, "time.hours-ago", int(d/time.Hour))
	default:
		return count(lang, "time.days-ago", int(d/day))
	}
}

// wait says how long seconds are, rounded up.
func wait(lang string, seconds int) string {
	if seconds <= 90 {
		return count(lang, "time.seconds", max(seconds, 1))
	}
	return count(lang, "time.minutes", (seconds+59)/60)
}
