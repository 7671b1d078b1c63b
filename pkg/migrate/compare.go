package migrate

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

// keepOrder leaves one of two rules out whose patterns are the same to us, though
// they were not in the original: the one that had the precedence there stays.
func (m *migration) keepOrder() {
	for {
		rules := m.written()
		patterns := make([]policy.Rule, len(rules))
		for i, r := range rules {
			patterns[i].Pattern = r.pattern
		}
		shadowed := policy.Shadowed(patterns)
		if len(shadowed) == 0 {
			return
		}
		for i := range rules {
			earlier, ok := shadowed[i]
			if !ok {
				continue
			}
			winner, loser := rules[i], rules[earlier]
			if preferred(winner, loser) == loser {
				winner, loser = loser, winner
			}
			m.leaveOut(loser, fmt.Sprintf("%s has the same pattern here, and preceded it before too", winner.path))
			break // the others are looked for anew
		}
	}
}

// preferred is which of two rules the original applies to an image of both.
func preferred(a, b *rule) *rule {
	for _, text := range append(samples(a.original, nil), samples(b.original, nil)...) {
		if ref, err := image.Parse(text); err == nil && a.matches.expr.MatchString(spelled(ref)) && b.matches.expr.MatchString(spelled(ref)) {
			return choose([]*rule{a, b}, spelled(ref))
		}
	}
	return b
}

// written are the rules that are not left out, and those that were added.
func (m *migration) written() []*rule {
	rules := slices.DeleteFunc(slices.Clone(m.rules), func(r *rule) bool { return r.pattern == "" })
	return append(rules, m.added...)
}

// decision is which rule applies to a reference, before and now; nil is none.
type decision struct {
	ref         image.Reference
	before, now *rule
}

// compare has the original and ours decide about references for which they may
// differ, keeps what would become more lenient as it was, and reports the rest.
func (m *migration) compare() {
	references := m.references()
	decisions := m.decide(references)
	for m.correct(decisions) {
		decisions = m.decide(references)
	}
	m.report(decisions)
}

// decide gives the decisions after which something else is demanded.
func (m *migration) decide(references []image.Reference) (decisions []decision) {
	rules := m.written()
	patterns := make([]policy.Rule, len(rules))
	for i, r := range rules {
		patterns[i].Pattern = r.pattern
	}
	compiled, errs := policy.Compile(patterns)
	if len(errs) > 0 {
		return nil // each was compiled by itself before; result says so if not
	}
	for _, ref := range references {
		d := decision{ref: ref, before: choose(m.rules, spelled(ref))}
		if match, ok := compiled.Match(ref, "default"); ok {
			d.now = rules[match.Index].origin()
		}
		if m.differs(d) {
			decisions = append(decisions, d)
		}
	}
	return decisions
}

// differs tells whether something else is demanded now.
func (m *migration) differs(d decision) bool {
	before, now := m.strengths(d)
	if before != now {
		return true
	}
	return now == verifies && d.before != d.now && (m.of(d.before) != m.of(d.now) || !reflect.DeepEqual(d.before.with, d.now.with))
}

// origin is the rule of the file.
func (r *rule) origin() *rule {
	if r.of != nil {
		return r.of
	}
	return r
}

// strengths are what a decision demands, before and now.
func (m *migration) strengths(d decision) (before, now strength) {
	before, now = denies, denies
	if d.before != nil {
		before = m.meant(d.before)
	}
	if d.now != nil {
		now = m.now(d.now)
	}
	return before, now
}

// lenient tells whether a decision demands less now. A signature that is asked
// for where all was denied, since the pattern of a rule is for references by
// digest too now, is none.
func (m *migration) lenient(d decision) bool {
	before, now := m.strengths(d)
	return now < before && (now == allows || !d.grew())
}

// grew tells whether the rule that applies now was not for the reference before.
func (d decision) grew() bool {
	return d.now != nil && !d.now.matches.expr.MatchString(spelled(d.ref))
}

// correct changes the rules so that decisions are not more lenient, each rule once
// at a time, and tells whether it has.
func (m *migration) correct(decisions []decision) bool {
	corrected := map[*rule]bool{}
	for _, d := range decisions {
		switch {
		case !m.lenient(d):
		case d.grew() && !corrected[d.now]:
			m.narrow(d.now)
			corrected[d.now] = true
		case !d.grew() && !corrected[d.before]:
			corrected[d.before] = m.keep(d.before, d.ref)
		}
	}
	return slices.Contains(slices.Collect(maps.Values(corrected)), true)
}

// narrow has a rule that allows match less: no references without a tag, or else
// nothing at all.
func (m *migration) narrow(r *rule) {
	if name, ok := strings.CutSuffix(r.pattern, ":*"); ok {
		r.pattern = name + ":?*"
		r.why = "it was for references with a tag only"
		return
	}
	m.leaveOut(r, "it would be for more than it was")
}

// keep adds a rule for what a rule was for beyond its name.
func (m *migration) keep(r *rule, ref image.Reference) bool {
	for i, wider := range r.wider {
		compiled, errs := policy.Compile([]policy.Rule{{Pattern: wider}})
		if len(errs) > 0 {
			continue
		}
		if _, ok := compiled.Match(ref, "default"); ok {
			r.wider = slices.Delete(r.wider, i, i+1)
			r.kept = append(r.kept, wider)
			m.added = append(m.added, &rule{of: r, path: r.path, pattern: wider, validator: r.validator, with: r.with, denied: r.denied})
			return true
		}
	}
	return false
}

// maxExamples is how many references a finding names.
const maxExamples = 3

// report tells which references are decided by another rule.
func (m *migration) report(decisions []decision) {
	for _, r := range m.rules {
		var examples, lenient []string
		for _, d := range decisions {
			text := ""
			switch {
			case d.before == r:
				text = fmt.Sprintf("%s matched this rule, and now matches %s", d.ref, m.describe(d.now))
			case d.before == nil && d.now == r:
				text = fmt.Sprintf("%s matched no rule, and now matches this one", d.ref)
			default:
				continue
			}
			if m.lenient(d) {
				lenient = append(lenient, text)
			} else {
				examples = append(examples, text)
			}
		}
		m.reportRule(r, examples, lenient)
	}
}

func (m *migration) reportRule(r *rule, examples, lenient []string) {
	at := r.path + ".pattern"
	if len(lenient) > 0 {
		m.lost(at, "%q does not keep its place, and what it decided may be more lenient now; write a rule for it: %s", r.original, some(lenient))
	}
	switch {
	case r.pattern == "" && len(examples) > 0:
		m.lost(at, "the rule is left out, since %s: %s", r.why, some(examples))
	case r.pattern == "":
		m.note(at, "the rule is left out, since %s", r.why)
	case len(examples) > 0:
		m.stricter(at, "patterns are matched from the first to the last character now: %s", some(examples))
	}
	if r.pattern != "" && r.pattern != r.original && r.why != "" {
		m.note(at, "is written as %q, since %s", r.pattern, r.why)
	}
	if len(r.kept) > 0 {
		m.note(at, "was for references with more around it too; so that none of them is decided more leniently, rules for %s are added at the end: drop those that you do not need", quoted(r.kept))
	}
}

// describe names a rule and what it does.
func (m *migration) describe(r *rule) string {
	if r == nil {
		return "none, which denies"
	}
	return fmt.Sprintf("%s %q, which %s", r.path, r.original, m.now(r))
}

func some(examples []string) string {
	text := strings.Join(examples[:min(len(examples), maxExamples)], "; ")
	if more := len(examples) - maxExamples; more > 0 {
		text += fmt.Sprintf("; and %d more that were tried", more)
	}
	return text
}

func quoted(patterns []string) string {
	texts := make([]string, len(patterns))
	for i, p := range patterns {
		texts[i] = fmt.Sprintf("%q", p)
	}
	return strings.Join(texts, " and ")
}
