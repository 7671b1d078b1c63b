package migrate

import (
	"regexp"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

// takePattern translates the pattern of a rule. What ours cannot say is left out
// if the rule allows, and is for more than it was otherwise: then nothing gets in
// that did not before.
func (m *migration) takePattern(r *rule) {
	at := r.path + ".pattern"
	allowed := m.meant(r) == allows
	if !m.placeholders(at, r.original) {
		if allowed {
			r.why = "nobody knows what it is for"
			return
		}
		r.denied = true
		r.original = placeholder.ReplaceAllString(r.original, "*")
	}
	var err error
	if r.matches, err = newMatcher(r.original); err != nil {
		m.lost(at, "%v; the rule is left out, as it matched nothing", err)
		r.why = "it was no pattern"
		return
	}
	r.wider = widen(r.original)
	switch {
	case compiles(r.original):
		r.pattern = r.original
	case compiles(settled(r.original)):
		r.pattern = settled(r.original)
		m.note(at, "would be ambiguous here, and is written as %q", r.pattern)
	case allowed:
		m.leaveOut(r, "no pattern of ours says the same")
	case compiles(anyDigest(r.original)):
		r.pattern = anyDigest(r.original)
		m.stricter(at, "no pattern of ours is for any digest and for no tag; %q is for both", r.pattern)
	case compiles(generalised(r.original)):
		r.pattern, r.denied = generalised(r.original), true
		m.lost(at, "no pattern of ours says the same; everything that %q is for is denied", r.pattern)
	default:
		m.lost(at, "no pattern of ours says the same; the rule is left out")
		r.why = "no pattern of ours says the same"
	}
}

var placeholder = regexp.MustCompile(`\{\{.*?\}\}|\$\{.*?\}|\{\{.*|\$\{.*`)

// leaveOut has a rule left out, for a reason that is reported when it is known
// whether that changes anything.
func (m *migration) leaveOut(r *rule, why string) { r.pattern, r.why = "", why }

// compiles tells whether a pattern is one of ours.
func compiles(pattern string) bool {
	_, errs := policy.Compile([]policy.Rule{{Pattern: pattern}})
	return len(errs) == 0
}

// settled decides what is ambiguous to us: a first component with a wildcard is a
// part of Docker Hub, or of any path if it begins with "*". A tag by itself is that
// of any image, and classes are negated with "^" here.
func settled(pattern string) string {
	pattern = strings.ReplaceAll(pattern, "[!", "[^")
	if compiles(pattern) {
		return pattern
	}
	switch {
	case strings.HasPrefix(pattern, ":"):
		return "*" + pattern
	case strings.HasPrefix(pattern, "*"):
		return "*/" + pattern
	}
	return "docker.io/" + pattern
}

// anyDigest is a pattern without its digest.
func anyDigest(pattern string) string {
	name, _, _ := strings.Cut(pattern, "@")
	return settled(name)
}

var unusual = regexp.MustCompile(`[^a-z0-9._/:*-]+`)

// generalised is a pattern that matches all that one of the original's does.
func generalised(pattern string) string {
	name, _, _ := strings.Cut(foldHost(pattern), "@")
	return settled(unusual.ReplaceAllString(name, "*"))
}

// widen gives patterns of ours that together are for nearly all that a pattern of
// the original is for beyond its own name: the name within a path of any registry,
// at the end of a host, as a host, and in a tag.
func widen(pattern string) (usable []wider) {
	name, suffix := split(pattern)
	name = "*" + strings.TrimLeft(name, "*")
	if suffix == "" && !strings.HasSuffix(name, "*") {
		name += "*"
	}
	if strings.HasPrefix(suffix, ":") && !strings.HasSuffix(suffix, "*") {
		suffix += "*"
	}
	word := strings.Trim(name, "*")
	all := []string{"*/" + name + suffix, name + suffix}
	if suffix == "" && !strings.Contains(name, "/") && word != "" {
		all = append(all, "*"+word+"*.*/*", "*/*:*"+word+"*")
	}
	for _, w := range all {
		if compiles(w) && w != pattern {
			usable = append(usable, wider{pattern: w})
		}
	}
	return usable
}

// split takes tag and digest off a pattern.
func split(pattern string) (name, suffix string) {
	if i := strings.IndexByte(pattern, '@'); i >= 0 {
		return pattern[:i], pattern[i:]
	}
	if i := strings.LastIndexByte(pattern, ':'); i > strings.LastIndexByte(pattern, '/') {
		return pattern[:i], pattern[i:]
	}
	return pattern, ""
}
