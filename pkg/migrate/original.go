package migrate

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// matcher is a pattern of the original: a glob that is looked for anywhere in
// the reference, and whose wildcards match everything.
type matcher struct {
	expr *regexp.Regexp
	// literal is a part of whatever matches, to be looked for first.
	literal string
	// components are the pattern's own, which decide how specific it is.
	components []string
}

// newMatcher compiles a pattern as the original does: with a "*" at either end,
// and the host in lower case.
func newMatcher(pattern string) (*matcher, error) {
	glob := foldHost(pattern)
	if !strings.HasPrefix(glob, "*") {
		glob = "*" + glob
	}
	if !strings.HasSuffix(glob, "*") {
		glob += "*"
	}
	expr, err := regexp.Compile(`\A(?s:` + expression(glob) + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("is no pattern: %q", pattern)
	}
	return &matcher{expr, literal(glob), strings.Split(pattern, "/")}, nil
}

// literal is the longest part of a glob without wildcards.
func literal(glob string) (longest string) {
	if strings.ContainsAny(glob, `[{\`) {
		return ""
	}
	for _, part := range strings.FieldsFunc(glob, func(r rune) bool { return r == '*' || r == '?' }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return longest
}

// match tells whether a reference matches, as the original spells it.
func (m *matcher) match(reference string) bool {
	return strings.Contains(reference, m.literal) && m.expr.MatchString(reference)
}

// foldHost lower-cases the host of a pattern or reference.
func foldHost(s string) string {
	host, rest, found := strings.Cut(s, "/")
	if !found || !strings.ContainsAny(host, ".:") && !strings.EqualFold(host, "localhost") {
		return s
	}
	return strings.ToLower(host) + "/" + rest
}

// expression translates a glob. None of its wildcards stops at a "/".
func expression(glob string) string {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '\\' && i+1 < len(glob):
			i++
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteByte('.')
		case c == '[':
			b.WriteByte('[')
			if strings.HasPrefix(glob[i+1:], "!") {
				b.WriteByte('^')
				i++
			}
		case c == ']':
			b.WriteByte(']')
		case c == '{':
			depth++
			b.WriteString("(?:")
		case c == '}' && depth > 0:
			depth--
			b.WriteByte(')')
		case c == ',' && depth > 0:
			b.WriteByte('|')
		case c == '-':
			b.WriteByte('-')
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return b.String()
}

// spelled is a reference as the original spells it.
func spelled(ref image.Reference) string {
	if ref.Registry() == image.DefaultRegistry {
		return "index." + ref.String()
	}
	return ref.String()
}

// choose gives the rule that the original applies to a reference; nil for none.
// The most components win, then the longest prefixes in common with the
// reference, then the longest components, and then the last rule.
func choose(rules []*rule, reference string) *rule {
	var best *rule
	components := strings.Split(reference, "/")
	for _, r := range rules {
		if r.matches != nil && r.matches.match(reference) &&
			(best == nil || !r.matches.yields(best.matches, components)) {
			best = r
		}
	}
	return best
}

// yields tells whether another matching pattern is the more specific.
func (m *matcher) yields(to *matcher, reference []string) bool {
	if d := len(m.components) - len(to.components); d != 0 {
		return d < 0
	}
	for i := range m.components {
		if i < len(reference) {
			if d := common(m.components[i], reference[i]) - common(to.components[i], reference[i]); d != 0 {
				return d < 0
			}
		}
	}
	for i := range m.components {
		if d := len(m.components[i]) - len(to.components[i]); d != 0 {
			return d < 0
		}
	}
	return false
}

// common is the length of the common prefix.
func common(a, b string) (n int) {
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
