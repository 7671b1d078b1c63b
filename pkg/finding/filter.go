package finding

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// Filter is which events a sink is sent. Each list has patterns in which * stands
// for anything; an empty one lets everything through. Events that are about no
// admission have neither outcome nor namespace: only Types holds for them.
type Filter struct {
	// Types are those of events: admission.denied, config.*
	Types []string `config:"types"`
	// Outcomes are those of admissions: Denied, Inconclusive.
	Outcomes []string `config:"outcomes"`
	// Namespaces are those of workloads.
	Namespaces []string `config:"namespaces"`
}

// Check finds patterns that can never match.
func (f Filter) Check(at strict.Object) (errs strict.Errors) {
	short := make([]string, 0, len(schemas))
	for _, t := range Types() {
		short = append(short, t.Short())
	}
	known := map[string][]string{"types": short, "outcomes": Outcomes}
	for _, list := range []struct {
		key      string
		patterns []string
	}{{"types", f.Types}, {"outcomes", f.Outcomes}, {"namespaces", f.Namespaces}} {
		for i, pattern := range list.patterns {
			key := fmt.Sprintf("%s[%d]", at.Key(list.key), i)
			if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
				errs.Add(key, "%q is no pattern; * stands for anything", pattern)
				continue
			}
			if values := known[list.key]; values != nil && !slices.ContainsFunc(values, func(v string) bool { return matches(pattern, v) }) {
				errs.Add(key, "%q is none%s; there are %s", pattern, strict.Suggest(pattern, values), strings.Join(values, ", "))
			}
		}
	}
	return errs
}

// Outcomes are those that an admission can have.
var Outcomes = []string{"Allowed", "Denied", "Detected", "Excepted", "Inconclusive", "LastKnownGood", "Skipped", "Trusted"}

// Match tells whether an event is let through.
func (f Filter) Match(t Type, outcome, namespace string) bool {
	return passes(f.Types, t.Short()) && (outcome == "" || passes(f.Outcomes, outcome) && passes(f.Namespaces, namespace))
}

func passes(patterns []string, s string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matches(p, s) })
}

func matches(pattern, s string) bool {
	ok, _ := path.Match(pattern, s)
	return ok
}
