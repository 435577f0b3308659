package store

import (
	"context"
	"fmt"
	"time"
)

// Dead says which rows of a table may go.
type Dead struct {
	Table string
	Key   string // its primary key: org, id
	Where string // $1 is that time, in microseconds: expires < $1. Its column has an index
}

const (
	sweepRows  = 500 // a transaction
	sweepTimes = 200 // transactions a table and run; the next run goes on
)

// Sweep is [Store.SweepAsOf] now.
func (s *Store) Sweep(ctx context.Context, tables []Dead) (int64, error) {
	return s.SweepAsOf(ctx, tables, s.Now())
}

// SweepAsOf deletes the rows of tables that are dead at that time, a few in a transaction so that others get their turn, and returns
// how many. Any number of nodes may sweep at once.
func (s *Store) SweepAsOf(ctx context.Context, tables []Dead, now time.Time) (int64, error) {
	var total int64
	for _, d := range tables {
		query := fmt.Sprintf("DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM %[1]s WHERE %[3]s LIMIT %[4]d)", d.Table, d.Key, d.Where, sweepRows)
		for range sweepTimes {
			var n int64
			err := s.Write(ctx, func(tx *Tx) (err error) {
				n, err = tx.Exec(query, now)
				return err
			})
			total += n
			if err != nil {
				return total, fmt.Errorf("sweeping %s: %w", d.Table, err)
			}
			if n < sweepRows {
				break
			}
		}
	}
	return total, nil
}
