package templates

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

//go:embed texts/*.json
var textFiles embed.FS

// english is the language of the catalogue that has every key.
const english = "en"

// language chooses the language of a page. There is one catalogue yet, so it has no choice.
func language(*http.Request) string { return english }

// catalogues holds the sentences by language and key.
var catalogues = sync.OnceValue(func() map[string]map[string]string {
	entries, err := textFiles.ReadDir("texts")
	if err != nil {
		panic("templates: " + err.Error())
	}
	all := map[string]map[string]string{}
	for _, e := range entries {
		data, err := textFiles.ReadFile("texts/" + e.Name())
		if err != nil {
			panic("templates: " + err.Error())
		}
		texts := map[string]string{}
		if err := json.Unmarshal(data, &texts); err != nil {
			panic("templates: texts/" + e.Name() + ": " + err.Error())
		}
		all[strings.TrimSuffix(e.Name(), ".json")] = texts
	}
	return all
})

// Text returns the sentence of key from the catalogue with its arguments filled in, {0} by the first. It panics on a key
// that is not there and on too few arguments; a sentence need not use all it is given.
func Text(key string, args ...any) string { return text(english, key, args...) }

// Has reports whether the catalogue has key, for keys that are made of something that came from outside.
func Has(key string) bool { return has(english, key) }

func has(lang, key string) bool {
	_, ok := catalogues()[lang][key]
	return ok
}

func text(lang, key string, args ...any) string {
	s, ok := catalogues()[lang][key]
	if !ok {
		panic(fmt.Sprintf("templates: no text %q", key))
	}
	if !strings.Contains(s, "{") {
		return s
	}
	pairs := make([]string, 0, 2*len(args))
	for i, a := range args {
		pairs = append(pairs, "{"+strconv.Itoa(i)+"}", fmt.Sprint(a))
	}
	for i := len(args); i < len(args)+3; i++ {
		if strings.Contains(s, "{"+strconv.Itoa(i)+"}") {
			panic(fmt.Sprintf("templates: text %q has no argument %d", key, i))
		}
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// count returns the sentence for n things: key.one or key.other, with n as its first argument.
func count(lang, key string, n int, more ...any) string {
	if n == 1 {
		key += ".one"
	} else {
		key += ".other"
	}
	return text(lang, key, append([]any{n}, more...)...)
}
