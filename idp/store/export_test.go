package store

import "context"

// Remembers has so many bytes put to the account of whoever ctx carries, without a row.
func (s *Store) Remembers(ctx context.Context, bytes int) error { return s.remembers(ctx, bytes) }
