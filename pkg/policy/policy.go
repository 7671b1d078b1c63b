package policy

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// Rule is what a policy holds for matching.
type Rule struct {
	// Pattern is matched against the canonical reference.
	Pattern string
	// Namespaces are names or globs of the namespaces that the rule is for;
	// empty means all.
	Namespaces []string
}

// RuleError says what is wrong with a rule.
type RuleError struct {
	// Index is the rule's place in the policy, from 0.
	Index int
	// Field is the key within the rule: "pattern" or "namespaces[2]".
	Field string
	Err   error
}

func (e *RuleError) Error() string { return fmt.Sprintf("policy[%d].%s: %v", e.Index, e.Field, e.Err) }

// Unwrap is the cause.
func (e *RuleError) Unwrap() error { return e.Err }

// Policy is a compiled list of rules. It is immutable. The zero value matches
// nothing.
type Policy struct {
	// filed holds the entries by the components of their name that precede
	// the first one with a wildcard: the whole name of a literal one,
	// "ghcr.io/org" for ghcr.io/org/*, "" for *.
	filed map[string][]*entry
}

// entry is one alternative of one rule's pattern.
type entry struct {
	pattern
	index      int
	namespaces []glob
}

// Match is a rule that matches an image.
type Match struct {
	// Index is the rule's place in the policy, from 0.
	Index int
	// Pattern is the rule's pattern in canonical form, braces expanded.
	Pattern string
	// ByTag tells that the pattern matched by the reference's tag. Beside a
	// digest a tag is only a claim, so that the rule may be applied only
	// after making sure that the tag stands for the digest.
	ByTag bool
	// Because says why this rule precedes the next one of the list that
	// Matches returns; it is empty for the last.
	Because string

	entry *entry
}

// Compile compiles the rules, or says everything that is wrong with them.
func Compile(rules []Rule) (*Policy, []*RuleError) {
	p := &Policy{filed: map[string][]*entry{}}
	var errs []*RuleError
	for i, rule := range rules {
		patterns, err := compilePattern(rule.Pattern)
		if err != nil {
			errs = append(errs, &RuleError{i, "pattern", fmt.Errorf("%q %w", rule.Pattern, err)})
		}
		var namespaces []glob
		for j, namespace := range rule.Namespaces {
			g, err := compileNamespace(namespace)
			if err != nil {
				errs = append(errs, &RuleError{i, fmt.Sprintf("namespaces[%d]", j), err})
			}
			namespaces = append(namespaces, g...)
		}
		for _, alternative := range patterns {
			key := alternative.literalPrefix()
			p.filed[key] = append(p.filed[key], &entry{pattern: alternative, index: i, namespaces: namespaces})
		}
	}
	if errs != nil {
		return nil, errs
	}
	return p, nil
}

// compileNamespace compiles a name or glob into its alternatives.
func compileNamespace(s string) ([]glob, error) {
	alternatives, err := expandBraces(s)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	globs := make([]glob, len(alternatives))
	for i, alternative := range alternatives {
		if !namespaceSyntax.MatchString(alternative) {
			return nil, fmt.Errorf("%q is neither the name of a namespace nor a pattern of such names", s)
		}
		if globs[i], err = compileGlob(alternative); err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
	}
	return globs, nil
}

// Hosts are the registries that patterns name without a wildcard, sorted.
func (p *Policy) Hosts() []string {
	hosts := map[string]bool{}
	for literal := range p.filed {
		if host, _, _ := strings.Cut(literal, "/"); host != "" {
			hosts[host] = true
		}
	}
	return slices.Sorted(maps.Keys(hosts))
}

// Match returns the rule that applies to the image in the namespace.
func (p *Policy) Match(ref image.Reference, namespace string) (Match, bool) {
	var best *entry
	var components []string
	for e := range p.candidates(ref, namespace) {
		switch {
		case best == nil:
			best = e
			continue
		case components == nil:
			components = splitComponents(ref.String())
		}
		if d, _ := precedence(e, best, components); d > 0 {
			best = e
		}
	}
	if best == nil {
		return Match{}, false
	}
	return best.asMatch(), true
}

// Matches returns every rule that matches, the one that applies first.
func (p *Policy) Matches(ref image.Reference, namespace string) []Match {
	components := splitComponents(ref.String())
	var matches []Match
	for e := range p.candidates(ref, namespace) {
		matches = append(matches, e.asMatch())
	}
	slices.SortStableFunc(matches, func(a, b Match) int {
		d, _ := precedence(b.entry, a.entry, components)
		return d
	})
	seen := map[int]bool{} // a rule whose braces gave several patterns is listed once
	matches = slices.DeleteFunc(matches, func(m Match) bool {
		again := seen[m.Index]
		seen[m.Index] = true
		return again
	})
	for i := range len(matches) - 1 {
		_, matches[i].Because = precedence(matches[i].entry, matches[i+1].entry, components)
	}
	return matches
}

func (e *entry) asMatch() Match {
	return Match{Index: e.index, Pattern: e.text, ByTag: e.byTag(), entry: e}
}

// candidates yields the entries that match.
func (p *Policy) candidates(ref image.Reference, namespace string) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for e := range p.lookup(ref) {
			if e.matchName(ref) && e.matchSuffix(ref) && e.inNamespace(namespace) && !yield(e) {
				return
			}
		}
	}
}

// lookup yields the entries that may match, whose number does not depend on
// the rules for other names.
func (p *Policy) lookup(ref image.Reference) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		name := ref.Name()
		for end := 0; end >= 0; end = nextComponent(name, end) {
			for _, e := range p.filed[name[:end]] {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// nextComponent gives the end of the component that follows the one that ends
// at end; it is -1 behind the last.
func nextComponent(name string, end int) int {
	if end == len(name) {
		return -1
	}
	if i := strings.IndexByte(name[end+1:], '/'); i >= 0 {
		return end + 1 + i
	}
	return len(name)
}

func (e *entry) inNamespace(namespace string) bool {
	if len(e.namespaces) == 0 {
		return true
	}
	return slices.ContainsFunc(e.namespaces, func(g glob) bool { return g.match(namespace) })
}

// Shadowed lists the rules that never apply because an earlier one has the
// same pattern for the same namespaces, each with that earlier one.
func Shadowed(rules []Rule) map[int]int {
	shadowed, first := map[int]int{}, map[string]int{}
	for i, rule := range rules {
		patterns, err := compilePattern(rule.Pattern)
		if err != nil || len(patterns) != 1 {
			continue
		}
		namespaces := slices.Clone(rule.Namespaces)
		slices.Sort(namespaces)
		key := fmt.Sprintf("%s %q", patterns[0].text, namespaces)
		if earlier, ok := first[key]; ok {
			shadowed[i] = earlier
			continue
		}
		first[key] = i
	}
	return shadowed
}
