package strict

import (
	"fmt"
	"strings"
)

// Error is something wrong with a configuration.
type Error struct {
	// Source is the object that holds the key, "config-policy" for instance;
	// empty while it is not known.
	Source string
	// Path is the key path within it: policy[3].with.threshold.
	Path string
	// Message says what is wrong, and what to do.
	Message string
	// Dangling is set where all that is wrong is that another object does
	// not hold what is referred to. Applying that object heals it.
	Dangling bool
}

// Errorf makes an Error.
func Errorf(path, format string, args ...any) *Error {
	return &Error{Path: path, Message: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string {
	text := e.Message
	if e.Path != "" {
		text = e.Path + ": " + text
	}
	if e.Source != "" {
		text = e.Source + ": " + text
	}
	return text
}

// Errors is everything that is wrong; empty means nothing.
type Errors []*Error

// Add appends an error.
func (e *Errors) Add(path, format string, args ...any) {
	*e = append(*e, Errorf(path, format, args...))
}

// From sets the source of those errors that have none yet.
func (e Errors) From(source string) Errors {
	for _, err := range e {
		if err.Source == "" {
			err.Source = source
		}
	}
	return e
}

// Err is nil if nothing is wrong.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}
