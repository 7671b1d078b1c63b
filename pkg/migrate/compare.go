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
			if preferred(loser, winner) == loser {
				winner, loser = loser, winner
			}
			m.leaveOut(loser, fmt.Sprintf("%s has the same pattern here, and preceded it before too", winner.path))
			break // the others are looked for anew
		}
	}
}

// preferred is which of two rules, the earlier and the later, the original applies
// to an image of both.
func preferred(earlier, later *rule) *rule {
	for _, text := range append(samples(alternatives(earlier.original)[0]), samples(alternatives(later.original)[0])...) {
		ref, err := image.Parse(text)
		if err != nil {
			continue
		}
		if s := spelled(ref); earlier.matches.expr.MatchString(s) && later.matches.expr.MatchString(s) {
			return choose([]*rule{earlier, later}, s)
		}
	}
	return later
}

// written are the rules that are not left out, and those that keep them in their
// place: what is added for the last rule precedes, since in the original the last
// of equals did.
func (m *migration) written() []*rule {
	rules := slices.DeleteFunc(slices.Clone(m.rules), func(r *rule) bool { return r.pattern == "" })
	for _, r := range slices.Backward(m.rules) {
		for _, pattern := range r.kept() {
			rules = append(rules, &rule{of: r, path: r.path, pattern: pattern, validator: r.validator, with: r.with, denied: r.denied})
		}
	}
	return rules
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
	if d.before == d.now || before != now {
		return d.before != d.now // that a rule is lost is reported elsewhere
	}
	return now == verifies && (m.of(d.before) != m.of(d.now) || !reflect.DeepEqual(d.before.with, d.now.with))
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
// digest too now, is none; neither is what was found by chance.
func (m *migration) lenient(d decision) bool {
	before, now := m.strengths(d)
	return now < before && (now == allows || !d.grew()) && !d.byChance()
}

// byChance tells whether the rule that applied before was found in what it is not
// about, the name of another registry in the path or a word in the tag, and the one
// that applies now is for the very registry, or repository, of the reference.
func (d decision) byChance() bool {
	if d.before == nil || d.now == nil {
		return false
	}
	host, _, found := strings.Cut(foldHost(d.before.original), "/")
	if found && strings.ContainsAny(host, ".:") && !strings.ContainsAny(host, "*?[{") && host != d.ref.Registry() {
		return strings.HasPrefix(foldHost(d.now.original), d.ref.Registry()+"/")
	}
	_, suffix := split(d.before.original)
	name, _ := split(d.now.original)
	exact, err := image.Parse(name)
	return suffix == "" && err == nil && exact.Name() == d.ref.Name() && !d.before.matches.expr.MatchString(spelled(d.ref.WithoutTag().WithDigest("")))
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
	for i := range r.wider {
		w := &r.wider[i]
		compiled, errs := policy.Compile([]policy.Rule{{Pattern: w.pattern}})
		if w.needed || len(errs) > 0 {
			continue
		}
		if _, ok := compiled.Match(ref, "default"); ok {
			w.needed = true
			return true
		}
	}
	return false
}

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
