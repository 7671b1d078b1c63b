package remote

import (
	"errors"
	"slices"
	"strings"
	"unicode"
)

// What is repeated of a foreign error, in bytes: its beginning says what was
// done, its end what went wrong.
const (
	maxError     = 200
	maxBeginning = 80
)

// brief makes one short line of an error of a cloud's client, which can be a
// page long and repeat what a server sent.
func brief(err error) error {
	if err == nil {
		return nil
	}
	words := strings.FieldsFunc(err.Error(), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) })
	words = slices.DeleteFunc(words, func(word string) bool { return strings.Trim(word, "-") == "" }) // Azure rules lines
	text := strings.Join(words, " ")
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxBeginning]+"…"+text[len(text)-maxError+maxBeginning+len("…"):], "")
	}
	return errors.New(text)
}
