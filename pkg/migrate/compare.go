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
		if s := spelled(ref); earlier.matches.match(s) && later.matches.match(s) {
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
	before := m.decided(m.references())
	decisions := m.decide(before)
	for m.correct(decisions) {
		decisions = m.decide(before)
	}
	m.report(decisions)
}

// decided are the decisions of the original.
func (m *migration) decided(references []image.Reference) []decision {
	all := make([]decision, len(references))
	for i, ref := range references {
		all[i] = decision{ref: ref, before: choose(m.rules, spelled(ref))}
	}
	return all
}

// decide gives the decisions after which something else is demanded.
func (m *migration) decide(before []decision) (decisions []decision) {
	rules := m.written()
	patterns := make([]policy.Rule, len(rules))
	for i, r := range rules {
		patterns[i].Pattern = r.pattern
	}
	compiled, errs := policy.Compile(patterns)
	if len(errs) > 0 {
		return nil // each was compiled by itself before; result says so if not
	}
	for _, d := range before {
		if match, ok := compiled.Match(d.ref, "default"); ok {
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
	return suffix == "" && err == nil && exact.Name() == d.ref.Name() && !d.before.matches.match(spelled(d.ref.WithoutTag().WithDigest("")))
}

// grew tells whether the rule that applies now was not for the reference before.
func (d decision) grew() bool {
	return d.now != nil && !d.now.matches.match(spelled(d.ref))
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
