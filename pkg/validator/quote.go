package validator

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxQuote bounds, in bytes, what a message quotes of a remote party.
const maxQuote = 200

// Quote makes foreign text fit for a message: one line, printable and short.
func Quote(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), 4*maxQuote)], "")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(s) <= maxQuote {
		return s
	}
	end := maxQuote
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
