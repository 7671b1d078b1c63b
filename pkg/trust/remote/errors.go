package remote

import (
	"errors"
	"strings"
	"unicode"
)

// maxError bounds what is repeated of a foreign error, in bytes.
const maxError = 200

// brief makes one short line of an error of a cloud's client, which can be a
// page long and repeat what a server sent.
func brief(err error) error {
	if err == nil {
		return nil
	}
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError-len("…")], "") + "…"
	}
	return errors.New(text)
}
