package migrate

import (
	"fmt"
	"slices"
)

// Kind is what a finding means for its reader.
type Kind string

// The kinds of findings.
const (
	// Lost is what could not be carried over.
	Lost Kind = "lost"
	// Stricter is what is checked more strictly now, or decided by another rule.
	Stricter Kind = "stricter"
	// Note is what is worth knowing and changes nothing.
	Note Kind = "note"
)

// Finding is something about the file that its owner should know.
type Finding struct {
	Kind Kind
	// Path is that of the key in the file: application.policy[3].pattern.
	Path string
	// Message says what, why and what to do.
	Message string
}

func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Kind, f.Path, f.Message) }

// findings collects them.
type findings []Finding

func (f *findings) add(kind Kind, path, format string, args ...any) {
	*f = append(*f, Finding{kind, path, fmt.Sprintf(format, args...)})
}

func (f *findings) lost(path, format string, args ...any)     { f.add(Lost, path, format, args...) }
func (f *findings) stricter(path, format string, args ...any) { f.add(Stricter, path, format, args...) }
func (f *findings) note(path, format string, args ...any)     { f.add(Note, path, format, args...) }

// sorted are the findings with the losses first.
func (f findings) sorted() findings {
	kinds := []Kind{Lost, Stricter, Note}
	return slices.SortedStableFunc(slices.Values(f), func(a, b Finding) int {
		return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind)
	})
}

// any tells whether there is a finding of a kind.
func (f findings) any(kind Kind) bool {
	return slices.ContainsFunc(f, func(one Finding) bool { return one.Kind == kind })
}
