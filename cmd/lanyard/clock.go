//go:build !faults

package main

import "time"

// now is the clock of the house. A binary that is built for tests (-tags faults) can be told to be wrong.
func now() time.Time { return time.Now() }
