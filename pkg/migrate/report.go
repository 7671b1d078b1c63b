package migrate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// report tells which references are decided differently, at the rule that decided
// before.
func (m *migration) report(decisions []decision) {
	for _, r := range m.rules {
		var less, lenient, chance examples
		lost := false
		for _, d := range decisions {
			switch {
			case d.before != r && (d.before != nil || d.now != r):
			case m.lenient(d):
				lenient.add(m.outcome(d), d.ref)
			case d.byChance():
				chance.add(m.outcome(d), d.ref)
			default:
				less.add(m.outcome(d), d.ref)
				lost = lost || r.pattern == "" && r.isFor(d.ref)
			}
		}
		m.reportRule(r, less, lenient, lost)
		if len(chance) > 0 {
			m.note(r.path+".pattern", "the name of a registry within a path, or a word within a tag, means nothing to it now: %s", chance)
		}
	}
}

func (m *migration) reportRule(r *rule, less, lenient examples, lost bool) {
	at := r.path + ".pattern"
	if len(lenient) > 0 {
		m.lost(at, "does not keep its place among the rules, and what is demanded may be less now; write a rule for it: %s", lenient)
	}
	why := "patterns are matched from the first to the last character now"
	if r.pattern == "" {
		why = "the rule is left out, since " + r.why
	}
	switch {
	case lost:
		m.lost(at, "%s: %s", why, less)
	case len(less) > 0:
		m.stricter(at, "%s: %s", why, less)
	case r.pattern == "":
		m.note(at, "%s", why)
	}
	if r.pattern != "" && r.why != "" {
		m.note(at, "is written as %q, since %s", r.pattern, r.why)
	}
	if kept := r.kept(); len(kept) > 0 {
		m.note(at, "was for references with more around it too; so that none of them is decided more leniently, rules for %s are added at the end: drop those that you do not need", quoted(kept))
	}
}

// isFor tells whether a reference is what the rule's pattern is for in the first
// place.
func (r *rule) isFor(ref image.Reference) bool {
	return slices.ContainsFunc(alternatives(r.original), func(pattern string) bool {
		first, err := image.Parse(samples(pattern)[0])
		return err == nil && first.String() == ref.String()
	})
}

// outcome says what a decision is now.
func (m *migration) outcome(d decision) string {
	switch {
	case d.now == nil:
		return "matched this rule, and now no rule, which denies"
	case d.before == nil:
		return "matched no rule, and now this one, which " + m.now(d.now).String()
	}
	return fmt.Sprintf("matched this rule, and now %s, which %s", d.now.path, m.now(d.now))
}

// examples are references by what became of them.
type examples []*example

type example struct {
	outcome    string
	references []string
}

func (e *examples) add(outcome string, ref image.Reference) {
	for _, one := range *e {
		if one.outcome == outcome {
			one.references = append(one.references, ref.String())
			return
		}
	}
	*e = append(*e, &example{outcome, []string{ref.String()}})
}

const (
	maxOutcomes   = 3
	maxReferences = 2
)

func (e examples) String() string {
	var texts []string
	for _, one := range e[:min(len(e), maxOutcomes)] {
		named := one.references[:min(len(one.references), maxReferences)]
		text := strings.Join(named, ", ")
		if len(one.references) > len(named) {
			text += " and others"
		}
		texts = append(texts, text+" "+one.outcome)
	}
	if more := len(e) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and others match %d other rules now", more))
	}
	return strings.Join(texts, "; ")
}

func quoted(patterns []string) string {
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = fmt.Sprintf("%q", p)
	}
	return strings.Join(texts, " and ")
}
