package policy

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// wildcards are the characters that make a part of a pattern more than a
// literal.
const wildcards = `*?[\{`

// maxAlternatives bounds what the braces of one pattern expand to.
const maxAlternatives = 256

func isLiteral(s string) bool { return !strings.ContainsAny(s, wildcards) }

// glob matches one part of a reference, from its first character to its last.
type glob struct {
	literal string
	expr    *regexp.Regexp // nil for a literal and for "*"
	any     bool
}

// compileGlob compiles the syntax of path.Match without braces, which are
// expanded before. "*" matches everything, "/" too: no part that a slash must
// separate reaches this function in one piece. "?" and "[…]" never match "/".
func compileGlob(pattern string) (glob, error) {
	if pattern == "*" {
		return glob{any: true}, nil
	}
	if isLiteral(pattern) {
		return glob{literal: pattern}, nil
	}
	var expr strings.Builder
	expr.WriteString(`\A(?s:`)
	for rest := pattern; rest != ""; {
		token, size, err := translate(rest)
		if err != nil {
			return glob{}, err
		}
		expr.WriteString(token)
		rest = rest[size:]
	}
	expr.WriteString(`)\z`)
	re, err := regexp.Compile(expr.String())
	if err != nil {
		return glob{}, fmt.Errorf("cannot compile %q: %w", pattern, err)
	}
	return glob{expr: re}, nil
}

// translate turns the first token of a glob into a regular expression and
// tells how long the token is.
func translate(rest string) (string, int, error) {
	switch rest[0] {
	case '*':
		return `.*`, 1, nil
	case '?':
		return `[^/]`, 1, nil
	case '[':
		return translateClass(rest)
	case '\\':
		if len(rest) < 2 {
			return "", 0, errors.New(`a trailing backslash escapes nothing`)
		}
		return regexp.QuoteMeta(rest[1:2]), 2, nil
	}
	return regexp.QuoteMeta(rest[:1]), 1, nil
}

// translateClass turns "[a-z]" or "[^a-z]" into a class that never holds "/".
func translateClass(rest string) (string, int, error) {
	end := strings.IndexByte(rest, ']')
	if end < 0 {
		return "", 0, errors.New(`"[" is not closed by "]"`)
	}
	body := rest[1:end]
	negated := strings.HasPrefix(body, "^")
	body = strings.TrimPrefix(body, "^")
	if !classSyntax.MatchString(body) {
		return "", 0, fmt.Errorf(`%q is not a character class: it must list characters or ranges, without "\", "[" and "/"`, rest[:end+1])
	}
	if negated {
		return "[^/" + body + "]", end + 1, nil
	}
	if class, err := regexp.Compile("[" + body + "]"); err == nil && class.MatchString("/") {
		return "", 0, fmt.Errorf(`the character class %q has a range that includes "/"`, rest[:end+1])
	}
	return "[" + body + "]", end + 1, nil
}

// classSyntax is what path.Match has between the brackets, but for escapes.
var classSyntax = regexp.MustCompile(`\A([^-\\\[/](-[^-\\\[/])?)+\z`)

func (g glob) match(s string) bool {
	switch {
	case g.any:
		return true
	case g.expr != nil:
		return g.expr.MatchString(s)
	}
	return g.literal == s
}

// expandBraces turns "{a,b}c" into "ac" and "bc". Braces may nest.
func expandBraces(pattern string) ([]string, error) {
	open := strings.IndexByte(pattern, '{')
	if open < 0 {
		if strings.ContainsRune(pattern, '}') {
			return nil, errors.New(`"}" without "{"`)
		}
		return []string{pattern}, nil
	}
	options, tail, err := splitBraces(pattern[open+1:])
	if err != nil {
		return nil, err
	}
	var expanded []string
	for _, option := range options {
		more, err := expandBraces(pattern[:open] + option + tail)
		if err != nil {
			return nil, err
		}
		if expanded = append(expanded, more...); len(expanded) > maxAlternatives {
			return nil, fmt.Errorf("the braces expand to more than %d patterns", maxAlternatives)
		}
	}
	return expanded, nil
}

// splitBraces splits what follows a "{" into its options and the rest behind
// the matching "}".
func splitBraces(s string) (options []string, tail string, err error) {
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return append(options, s[start:i]), s[i+1:], nil
			}
			depth--
		case ',':
			if depth == 0 {
				options = append(options, s[start:i])
				start = i + 1
			}
		}
	}
	return nil, "", errors.New(`"{" is not closed by "}"`)
}
