package templates

// What the tests beside this package need to see of it.

// Device says in words which browser a User-Agent is.
func Device(agent string) string { return device("en", agent) }

// The ways in which a stranger's words are shown.
var (
	Name     = name
	Initials = initials
	Tint     = tint
)
