package templates

import "strings"

// Marks in a User-Agent, in this order: most browsers also name those that they want to be taken for.
var browsers = [][2]string{
	{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
	{"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
}

var systems = [][2]string{
	{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"},
	{"Macintosh", "Mac"}, {"Linux", "Linux"},
}

// device says in words which browser a User-Agent is. What is none, or not known, is shown as a name.
func device(lang, agent string) string {
	if agent == "" {
		return text(lang, "account.device")
	}
	browser, system := first(browsers, agent), first(systems, agent)
	if !strings.HasPrefix(agent, "Mozilla/") || browser == "" || system == "" {
		return name(agent)
	}
	return text(lang, "account.browser", browser, system)
}

func first(marks [][2]string, agent string) string {
	for _, m := range marks {
		if strings.Contains(agent, m[0]) {
			return m[1]
		}
	}
	return ""
}
