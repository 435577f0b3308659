package templates

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
)

//go:embed assets/*
var assetFiles embed.FS

// assetTypes are the media types by extension.
var assetTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

type asset struct {
	path, media string
	data        []byte
}

// assets holds what is served, by the name it has in the folder and by the path it is served at.
var assets = sync.OnceValue(func() map[string]asset {
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic("templates: " + err.Error())
	}
	all := map[string]asset{} // paths begin with a slash, names do not
	for _, e := range entries {
		data, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			panic("templates: " + err.Error())
		}
		sum := sha256.Sum256(data)
		ext := path.Ext(e.Name())
		a := asset{
			path:  "/assets/" + strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext,
			media: assetTypes[ext],
			data:  data,
		}
		all[e.Name()], all[a.path] = a, a
	}
	return all
})

// assetPath returns the path at which the asset of that name is served.
func assetPath(name string) string { return assets()[name].path }

// Assets serves /assets/…. A name contains a hash of what it names, so what is there may be kept for ever. A page written
// by another version of this program, on another node or before an upgrade, asks for another hash: it gets ours, not to keep.
func Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		SecurityHeaders(h)
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		a, ok := assets()[r.URL.Path]
		if ok {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		} else if a, ok = assets()[unhashed(r.URL.Path)]; !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		h.Set("Content-Type", a.media)
		h.Set("Content-Length", strconv.Itoa(len(a.data)))
		_, _ = w.Write(a.data) // the browser has gone: nobody is left to be told
	})
}

// unhashed returns the name in /assets/NAME.HASH.EXT, or nothing.
func unhashed(p string) string {
	file, ok := strings.CutPrefix(p, "/assets/")
	parts := strings.Split(file, ".")
	if !ok || len(parts) != 3 {
		return ""
	}
	return parts[0] + "." + parts[2]
}
