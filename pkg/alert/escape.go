package alert

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// escape is how a character is written where a receiver takes some for markup; nil
// writes it as it is.
type escape func(rune) string

// The markups that a template of one's own can be for.
const (
	noMarkup = "none"
	slack    = "slack"
	markdown = "markdown"
)

// escapes are those of the shipped templates and of markups. In the templates for
// Slack and Keybase what comes from outside is within backticks, where nothing else
// means anything; for Teams it is in elements that have no markup.
var escapes = map[string]escape{
	slack: func(r rune) string {
		switch r {
		case '&':
			return "&amp;"
		case '<':
			return "&lt;" // begins mentions, <!channel>, and links
		case '>':
			return "&gt;"
		}
		return noBacktick(r)
	},
	"keybase": noBacktick,
	"opsgenie": func(r rune) string {
		switch r {
		case '<':
			return "‹" // it shows some HTML
		case '>':
			return "›"
		}
		return string(r)
	},
	markdown: func(r rune) string {
		if strings.ContainsRune("\\`*_{}[]()<>#+-.!|~@&", r) {
			return `\` + string(r)
		}
		return string(r)
	},
}

func noBacktick(r rune) string {
	if r == '`' {
		return "'"
	}
	return string(r)
}

// apply writes a value on one line and in no more than limit bytes. Nothing that
// cannot be seen is left in it.
func (e escape) apply(value string, limit int) string {
	var b strings.Builder
	for _, r := range value {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsPrint(r):
			r = utf8.RuneError
		}
		text := string(r)
		if e != nil {
			text = e(r)
		}
		if b.Len()+len(text) > limit {
			b.WriteString("…")
			break
		}
		b.WriteString(text)
	}
	return b.String()
}
