package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// orphansPage is how many consents are looked at in one go; a million take a few hours.
const orphansPage = 5000

// orphans is where the search for them goes on.
type orphans struct {
	mu            sync.Mutex
	org, usr, app string
}

// SweepOrphans takes away the consents of apps and users that are gone, and returns how many. Nobody misses them, so no app's end
// waits for a search of a table that has no index for it: each call looks at the next few rows.
func (s *Store) SweepOrphans(ctx context.Context) (n int64, err error) {
	o := &s.orphans
	o.mu.Lock()
	defer o.mu.Unlock()
	var org, usr, app string
	err = s.Read(ctx).QueryRow(fmt.Sprintf(`SELECT org, usr, app FROM consent WHERE (org, usr, app) > ($1, $2, $3)
		ORDER BY org, usr, app LIMIT 1 OFFSET %d`, orphansPage-1), o.org, o.usr, o.app).Scan(&org, &usr, &app)
	last := errors.Is(err, ErrNotFound)
	if err != nil && !last {
		return 0, err
	}
	query, args := `DELETE FROM consent WHERE (org, usr, app) > ($1, $2, $3)
		AND (NOT EXISTS (SELECT 1 FROM app a WHERE a.org = consent.org AND a.id = consent.app)
			OR NOT EXISTS (SELECT 1 FROM usr u WHERE u.org = consent.org AND u.id = consent.usr))`, []any{o.org, o.usr, o.app}
	if !last {
		query, args = query+` AND (org, usr, app) <= ($4, $5, $6)`, append(args, org, usr, app)
	}
	err = s.Write(ctx, func(tx *Tx) error {
		n, err = tx.Exec(query, args...)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sweeping consents: %w", err)
	}
	o.org, o.usr, o.app = org, usr, app // all empty: from the beginning
	return n, nil
}
