package saml

import "slices"

// Comparisons of a RequestedAuthnContext, Core §3.3.2.2.1.
const (
	CompareExact   = "exact"
	CompareMinimum = "minimum"
	CompareMaximum = "maximum"
	CompareBetter  = "better"
)

// ClassPasskey says that the person used a passkey that verified them.
const ClassPasskey = "phr"

// level is how strong a class is (SURFACE.md §4, levels); false: not known here.
func level(class string) (int, bool) {
	switch class {
	case ClassUnspecified:
		return 0, true
	case ClassPassword, ClassPasswordProtected:
		return 1, true
	case ClassTimeSyncToken, ClassMFA:
		return 2, true
	case ClassPasskey:
		return 3, true
	}
	return 0, false
}

// Satisfied tells if a sign-in is what a RequestedAuthnContext asks for (Core §3.3.2.2.1), and the class to send. classes
// are asked for, in order of preference; compare is how, empty is exact. have are the classes that the sign-in truly
// satisfies, strongest first.
//
// exact is met by a class that is in both; the first asked for is sent. The others compare the strongest of have by its
// level and send it: minimum is met if it is as strong as any of the classes asked for, maximum if it is no stronger than
// one of them, better if it is stronger than all of them. A class whose level is not known here compares only with
// itself. Nothing asked is met by the strongest.
func Satisfied(classes []string, compare string, have []string) (class string, ok bool) {
	if len(have) == 0 {
		return "", false
	}
	strongest := have[0]
	if len(classes) == 0 {
		return strongest, true
	}
	if compare == "" || compare == CompareExact {
		for _, c := range classes {
			if slices.Contains(have, c) {
				return c, true
			}
		}
		return "", false
	}
	mine, known := level(strongest)
	meets := func(asked string) bool {
		theirs, comparable := level(asked)
		comparable = comparable && known
		switch compare {
		case CompareMinimum:
			return asked == strongest || comparable && mine >= theirs
		case CompareMaximum:
			return asked == strongest || comparable && mine <= theirs
		case CompareBetter:
			return comparable && mine > theirs
		}
		return false
	}
	if compare == CompareBetter {
		ok = !slices.ContainsFunc(classes, func(c string) bool { return !meets(c) })
	} else {
		ok = slices.ContainsFunc(classes, meets)
	}
	if !ok {
		return "", false
	}
	return strongest, true
}
