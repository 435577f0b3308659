package api

import (
	"fmt"
	"strings"
)

// didYouMean names what is nearest to got, if anything is near.
func didYouMean(got string, names []string) string {
	best, most := "", len(got)/3+1
	for _, n := range names {
		if d := distance(strings.ToLower(got), strings.ToLower(n)); d < most || d == most && (best == "" || n < best) {
			best, most = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// distance is the Levenshtein distance of two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		prev := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := prev
			if a[i-1] != b[j-1] {
				cost = min(prev, row[j], row[j-1]) + 1
			}
			prev, row[j] = row[j], cost
		}
	}
	return row[len(b)]
}
