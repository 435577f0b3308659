package people

import (
	_ "embed"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// words are what people make passwords of most: names, places, teams, things they like, "password" in many languages, one
// a line. A list of whole passwords would need many times as many lines for what three rules say: a word with figures
// around it is still that word, and so is one in which letters are written as figures; two short words in one are no
// better.
//
//go:embed words.txt
var words string

// guessable tells if a password is among the first that anybody would try: one or two known words, or of own (who has the
// password, where they work), with or without figures and signs around them; keys in a row; a date or number.
func guessable(password string, own []string) bool {
	s := strings.ToLower(norm.NFKC.String(password))
	if inRow(s) || len(s) < fewFigures && strings.Trim(s, "0123456789.-/ ") == "" {
		return true
	}
	for _, w := range []string{s, core(s), core(spelled(s)), spelled(core(s))} {
		if isWord(w, own) || areWords(w, own) {
			return true
		}
	}
	return false
}

const (
	fewFigures = 12 // fewer are a date, or soon tried
	twoWords   = 11 // letters of two words that are guessed as soon as one
)

// areWords tells if s is one word twice, or two short ones.
func areWords(s string, own []string) bool {
	for i := range s {
		if (len(s) <= twoWords || s[:i] == s[i:]) && isWord(s[:i], own) && isWord(s[i:], own) {
			return true
		}
	}
	return false
}

func isWord(s string, own []string) bool {
	const least = 3 // of fewer letters, what stands around them counts
	if len(s) < least {
		return false
	}
	for _, o := range own {
		if s == core(strings.ToLower(norm.NFKC.String(o))) {
			return true
		}
	}
	for line := range strings.Lines(words) {
		w := strings.TrimSpace(line)
		if s == w || s == w+"s" || len(s) == minPassword && strings.HasPrefix(w, s) { // cut where many places once cut
			return true
		}
	}
	return false
}

// core is s without what is no letter at both ends.
func core(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return !unicode.IsLetter(r) })
}

// spelled writes figures and signs as the letters they are often put for.
func spelled(s string) string {
	return strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i").Replace(s)
}

// rows are the ways a finger goes over the keys, and the alphabet.
var rows = []string{
	"1234567890", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "qsdfghjklm", "zxcvbnm", "yxcvbnm", "abcdefghijklmnopqrstuvwxyz",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p", "1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "qawsedrftgyhujikolp", "147258369", "a1b2c3d4e5f6g7h8i9",
}

// inRow tells if nearly every key is the one before it or next to it, or the same few come again and again: qwerty12,
// 1q2w3e4r, aaaaaaaa, 12341234.
func inRow(s string) bool {
	keys := []rune(s)
	for period := 1; period <= 4 && 2*period <= len(keys); period++ {
		same := true
		for i := period; i < len(keys) && same; i++ {
			same = keys[i] == keys[i-period]
		}
		if same {
			return true
		}
	}
	breaks := 0
	for i := 1; i < len(keys); i++ {
		if !beside(keys[i-1], keys[i]) {
			breaks++
		}
	}
	return breaks <= len(keys)/5
}

func beside(a, b rune) bool {
	if a == b {
		return true
	}
	for _, row := range rows {
		if strings.Contains(row, string([]rune{a, b})) || strings.Contains(row, string([]rune{b, a})) {
			return true
		}
	}
	return false
}
