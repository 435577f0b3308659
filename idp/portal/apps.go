package portal

import (
	"net/http"
	"sort"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/access"
	"github.com/lanyard-sso/lanyard/idp/signin"
	"github.com/lanyard-sso/lanyard/templates"
)

// apps shows a tile for every app this person may enter and can be started from here. What they may not enter is not
// named: the launcher tells nobody which apps exist.
func (h *Handler) apps(w http.ResponseWriter, r *http.Request, s *signin.Signed) {
	all, err := h.Store.Apps().Installed(r.Context(), s.User.Org)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := &all[i].App, &all[j].App
		if a.Order != b.Order {
			return a.Order < b.Order
		}
		return a.Name < b.Name
	})
	var tiles []templates.Tile
	for _, c := range all {
		to := start(&c.App)
		if to == "" || c.App.Hidden {
			continue
		}
		d := access.Decide(access.Question{App: c, User: s.User, Session: s.Session, IP: idp.CallerOf(r.Context()).IP, Now: h.Now()})
		if d.Decision == access.Deny {
			continue
		}
		tiles = append(tiles, templates.Tile{Name: c.App.Name, Description: c.App.Description, URL: to})
	}
	templates.Write(w, r, http.StatusOK, templates.Apps{User: s.User.Name(), Tiles: tiles, Admin: s.User.Admin()})
}

// start is where a tile leads: the app's own start page if it names one, which then comes here by itself, else a launch.
func start(a *idp.App) string {
	switch {
	case a.StartURL != "":
		return a.StartURL
	case a.SAML != nil:
		return "/saml/launch/" + a.APIName
	}
	return ""
}
