package storetest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/keys"
)

// filler copies moulds.
type filler struct {
	*Large
	bulk
	log    io.Writer
	person string           // id of the mould
	apps   []*idp.Connected // the moulds
	seal   func(org, app string, secret []byte) []byte
}

// find reads what is copied, as the product sees it.
func (f *filler) find(ctx context.Context, dsn string, sealer *keys.Sealer) (err error) {
	st, err := store.Open(ctx, store.Config{DSN: dsn, Sealer: sealer})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }() // SQLite is filled by one who is alone
	person, err := st.People().ByName(ctx, f.Org, f.Person)
	if err != nil {
		return fmt.Errorf("storetest: %s: %w", f.Person, err)
	}
	f.person, f.seal = person.ID, st.Apps().SealSecret
	for _, m := range f.moulds() {
		c, err := st.Apps().ConnectedByName(ctx, f.Org, m.APIName)
		if err != nil {
			return fmt.Errorf("storetest: %s: %w", m.APIName, err)
		}
		f.apps = append(f.apps, c)
	}
	return nil
}

// mould is a row as it is in the database.
type mould struct {
	table string
	cols  []string
	row   []any
}

// one reads a row to copy.
func (f *filler) one(ctx context.Context, table, where string, args ...any) (*mould, error) {
	all, err := f.some(ctx, table, where, args...)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("storetest: there is no row of %s to copy (%s)", table, where)
	}
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (f *filler) some(ctx context.Context, table, where string, args ...any) ([]*mould, error) {
	rows, err := f.db().QueryContext(ctx, "SELECT * FROM "+table+" WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cols, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all []*mould
	for rows.Next() {
		m := &mould{table, cols, make([]any, len(cols))}
		dest := make([]any, len(cols))
		for i := range dest {
			dest[i] = &m.row[i]
		}
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, rows.Err()
}

// text is a column of the mould.
func (m *mould) text(col string) string { return m.row[slices.Index(m.cols, col)].(string) }

// copy writes n copies of a mould. with names the columns that differ, and values are those of the ith copy; times become
// what the store keeps.
func (f *filler) copy(ctx context.Context, m *mould, n int, with string, values func(i int) []any) error {
	at := []int{}
	for _, name := range strings.Fields(with) {
		k := slices.Index(m.cols, name)
		if k < 0 {
			return fmt.Errorf("storetest: %s has no column %s", m.table, name)
		}
		at = append(at, k)
	}
	began := time.Now()
	row := slices.Clone(m.row)
	err := f.put(ctx, m.table, m.cols, n, func(i int) []any {
		if i%100_000 == 0 && i > 0 {
			_, _ = fmt.Fprintf(f.log, "\r  %-14s %9d of %9d, %.0f s ", m.table, i, n, time.Since(began).Seconds())
		}
		for k, v := range values(i) {
			if t, ok := v.(time.Time); ok {
				v = t.UnixMicro()
			}
			row[at[k]] = v
		}
		return row
	})
	if err != nil {
		return fmt.Errorf("storetest: filling %s: %w", m.table, err)
	}
	_, _ = fmt.Fprintf(f.log, "\r  %-14s %9d in %.1f s               \n", m.table, n, time.Since(began).Seconds())
	return nil
}

func (f *filler) user(i int) string { return f.id(kindUser, i) }

// people makes users, what they sign in by, and what they are in.
func (f *filler) people(ctx context.Context) error {
	u, err := f.one(ctx, "usr", "org = $1 AND id = $2", f.Org, f.person)
	if err != nil {
		return err
	}
	email := func(i int) string { return f.Username(i) + "@example.com" }
	if err := f.copy(ctx, u, f.Users, "id username email created changed", func(i int) []any {
		made := f.made(kindUser, i)
		return []any{f.user(i), f.Username(i), email(i), made, made}
	}); err != nil {
		return err
	}
	name, err := f.one(ctx, "login_name", "org = $1 AND usr = $2", f.Org, f.person)
	if err != nil {
		return err
	}
	if err := f.copy(ctx, name, 2*f.Users, "name usr", func(i int) []any {
		if i%2 == 0 {
			return []any{f.Username(i / 2), f.user(i / 2)}
		}
		return []any{email(i / 2), f.user(i / 2)}
	}); err != nil {
		return err
	}
	in, err := f.some(ctx, "member", "org = $1 AND usr = $2", f.Org, f.person)
	for _, m := range in {
		if err := f.copy(ctx, m, f.Users, "usr", func(i int) []any { return []any{f.user(i)} }); err != nil {
			return err
		}
	}
	return err
}

// definitions makes apps, what they are found by, and how they are installed. Of M moulds, the nth copy of the kth is app n*M+k.
func (f *filler) definitions(ctx context.Context) error {
	for k, c := range f.apps {
		m, n, all := f.moulds()[k], f.Of(k), len(f.apps)
		old := c.App.ID
		id := func(i int) string { return f.id(kindApp, i*all+k) }
		app, err := f.one(ctx, "app", "org = $1 AND id = $2", f.Org, old)
		if err != nil {
			return err
		}
		like := func(row *mould, col string, i int) string { return f.Like(m, i, row.text(col)) }
		if !strings.Contains(app.text("doc"), m.Word) {
			return fmt.Errorf("storetest: %s is nowhere in %s", m.Word, m.APIName)
		}
		if err := f.copy(ctx, app, n, "id name api_name doc secret created last_used", func(i int) []any {
			var secret []byte
			if c.App.OAuth != nil {
				secret = f.seal(f.Org, id(i), []byte(f.Secret))
			}
			return []any{id(i), fmt.Sprintf("%s %06d", c.App.Name, i), fmt.Sprintf("%s_%06d", c.App.APIName, i), like(app, "doc", i), secret,
				f.made(kindApp, i*all+k), f.Now}
		}); err != nil {
			return err
		}
		installation, err := f.one(ctx, "installation", "org = $1 AND app = $2", f.Org, old)
		if err != nil {
			return err
		}
		if err := f.copy(ctx, installation, n, "app", func(i int) []any { return []any{id(i)} }); err != nil {
			return err
		}
		clients, err := f.some(ctx, "client", "org = $1 AND app = $2", f.Org, old)
		if err != nil {
			return err
		}
		for _, row := range clients {
			if err := f.copy(ctx, row, n, "id app", func(i int) []any { return []any{like(row, "id", i), id(i)} }); err != nil {
				return err
			}
		}
		addresses, err := f.some(ctx, "acs", "org = $1 AND app = $2", f.Org, old)
		if err != nil {
			return err
		}
		for _, row := range addresses {
			if err := f.copy(ctx, row, n, "entity_id url app", func(i int) []any {
				return []any{like(row, "entity_id", i), like(row, "url", i), id(i)}
			}); err != nil {
				return err
			}
		}
	}
	// What the caches of nodes hold is no longer all there is.
	_, err := f.db().ExecContext(ctx, `UPDATE change SET n = n + 1`)
	return err
}

// sessions makes sessions, the browsers they are at, and the app each has been to.
func (f *filler) sessions(ctx context.Context) error {
	s, err := f.one(ctx, "session", "org = $1 AND usr = $2 ORDER BY id DESC LIMIT 1", f.Org, f.person)
	if err != nil {
		return err
	}
	if err := f.copy(ctx, s, f.Sessions(), "id hash usr auth_time seen expires", func(i int) []any {
		id, made := f.id(kindSession, i), f.made(kindSession, i)
		return []any{id, hash(secretOf(id)), f.user(f.userOf(i)), made, f.Now.Add(-2 * time.Minute), made.Add(24 * time.Hour)}
	}); err != nil {
		return err
	}
	b, err := f.one(ctx, "browser", "org = $1 AND usr = $2 LIMIT 1", f.Org, f.person)
	if err != nil {
		return err
	}
	if err := f.copy(ctx, b, f.Sessions(), "hash usr seen", func(i int) []any {
		return []any{hash("browser " + f.id(kindSession, i)), f.user(f.userOf(i)), f.made(kindSession, i)}
	}); err != nil {
		return err
	}
	p, err := f.one(ctx, "participant", "org = $1 LIMIT 1", f.Org)
	if err != nil {
		return err
	}
	return f.copy(ctx, p, f.Sessions(), "session app session_index at", func(i int) []any {
		id := f.id(kindSession, i)
		app := int(scatter(i) % uint64(f.Of(0)))
		return []any{id, f.id(kindApp, app*len(f.apps)), "_" + secretOf("index " + id)[:32], f.made(kindSession, i)}
	})
}

// grants makes grants and the tokens of some of them.
func (f *filler) grants(ctx context.Context) error {
	var rows, tokens [2]*mould // a person's, a machine's
	var apps [2]int
	for k := range rows {
		apps[k] = len(f.SAML) + k
		var err error
		if rows[k], err = f.one(ctx, "grants", "org = $1 AND app = $2 ORDER BY id DESC LIMIT 1", f.Org, f.apps[apps[k]].App.ID); err != nil {
			return err
		}
		if tokens[k], err = f.one(ctx, "token", "org = $1 AND grant_id = $2 LIMIT 1", f.Org, rows[k].text("id")); err != nil {
			return err
		}
	}
	k := func(g int) int {
		if f.IsMachine(g) {
			return 1
		}
		return 0
	}
	family, doc := "", rows[0].text("doc")
	if _, rest, ok := strings.Cut(doc, `"family":"`); ok {
		family, _, _ = strings.Cut(rest, `"`)
	}
	if family == "" {
		return errors.New("storetest: the grant to copy has no refresh token")
	}
	if !slices.Equal(rows[0].cols, rows[1].cols) {
		return errors.New("storetest: two rows of grants differ in their columns")
	}
	index := map[string]int{}
	for c, name := range rows[0].cols {
		index[name] = c
	}
	unused := f.Now.Add(30 * 24 * time.Hour)
	if err := f.copy(ctx, rows[0], f.Grants, strings.Join(rows[0].cols, " "), func(g int) []any {
		k := k(g)
		row := slices.Clone(rows[k].row)
		set := func(col string, v any) { row[index[col]] = v }
		client, id, made := f.ClientOf(g), f.id(kindGrant, g), f.made(kindGrant, g)
		set("id", id)
		set("app", f.id(kindApp, client*len(f.apps)+apps[k]))
		text := f.Like(f.moulds()[apps[k]], client, row[index["doc"]].(string))
		set("created", made)
		set("last_used", f.Now.Add(-2*time.Minute))
		end := f.Now.Add(24*time.Hour + time.Duration(g)*time.Microsecond)
		if k == 0 {
			set("usr", f.user(f.userOf(g)))
			secret := refreshSecret(id)
			set("hash", hash(secret))
			text = strings.Replace(text, family, base64.StdEncoding.EncodeToString(hash(secret[:22])), 1)
			end = unused.Add(time.Duration(g) * time.Microsecond)
			set("unused", end)
		}
		set("ends", end)
		set("doc", text)
		return row
	}); err != nil {
		return err
	}
	return f.copy(ctx, tokens[0], f.Grants/10*2, "id hash grant_id scopes created expires", func(i int) []any {
		g := i/2*10 + tokenOfTen + i%2
		id := f.id(kindToken, i)
		return []any{id, hash(secretOf(id)), f.id(kindGrant, g), tokens[k(g)].text("scopes"), f.made(kindToken, i), f.Now.Add(24*time.Hour + time.Duration(i)*time.Microsecond)}
	})
}

// history makes consents and events.
func (f *filler) history(ctx context.Context) error {
	consent := &mould{table: "consent", cols: []string{"org", "usr", "app", "scopes", "given"}, row: []any{f.Org, "", "", "openid profile", int64(0)}}
	client := len(f.SAML)
	if err := f.copy(ctx, consent, f.Users, "usr app given", func(i int) []any {
		app := int(scatter(i) % uint64(f.Of(client)))
		return []any{f.user(i), f.id(kindApp, app*len(f.apps)+client), f.made(kindUser, i)}
	}); err != nil {
		return err
	}
	e, err := f.one(ctx, "event", "org = $1 AND usr = $2 AND app <> '' ORDER BY id DESC LIMIT 1", f.Org, f.person)
	if err != nil {
		return err
	}
	return f.copy(ctx, e, 3*f.Users, "id at usr app reference", func(i int) []any {
		id := f.id(kindEvent, i)
		app := int(scatter(i) % uint64(f.Apps))
		return []any{id, f.made(kindEvent, i), f.user(f.userOf(i)), f.id(kindApp, app), strings.ToUpper(id[18:])}
	})
}
