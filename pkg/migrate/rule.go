package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// rule is one of the file's.
type rule struct {
	path string
	// of is the rule that this one keeps in its place; nil for one of the file.
	of *rule
	// original is its pattern in the file, and matches what that means there.
	original string
	matches  *matcher
	// pattern is ours; empty if the rule is left out.
	pattern   string
	validator string
	with      map[string]any
	// denied tells that it could not be carried over: it denies.
	denied bool
	// why says why it is left out, or what became of its pattern.
	why string
	// wider are patterns of rules that can keep this one in its place.
	wider []wider
}

// wider is a pattern for what a pattern of the original is for beyond its name.
type wider struct {
	pattern string
	needed  bool
}

// kept are the wider patterns that are needed.
func (r *rule) kept() (patterns []string) {
	for _, w := range r.wider {
		if w.needed {
			patterns = append(patterns, w.pattern)
		}
	}
	return patterns
}

// takeRules reads the rules, and what they say to their validators.
func (m *migration) takeRules(f *file) error {
	at := f.policy.Key("policy")
	items := m.list(at, f.policy.Fields["policy"])
	if len(items) > maxRules {
		return fmt.Errorf("%s: has more than %d rules", at, maxRules)
	}
	for i, raw := range items {
		path := fmt.Sprintf("%s[%d]", at, i)
		fields, ok := raw.(map[string]any)
		if !ok {
			m.lost(path, "must be a mapping")
			continue
		}
		r := &rule{path: path}
		if r.original, ok = fields["pattern"].(string); !ok || r.original == "" {
			m.lost(path+".pattern", "is missing or no string, so that the rule is for no image; it is left out")
			continue
		}
		m.rules = append(m.rules, r)
		if _, known := m.only(section{Path: path, Fields: fields}, []string{"pattern", "validator", "with"}); !known {
			r.denied = true
		}
		if r.validator, ok = fields["validator"].(string); !ok && fields["validator"] != nil {
			m.lost(path+".validator", "must be a string")
			r.denied = true
		}
		m.takePattern(r)
		m.takeSettings(r, fields["with"])
	}
	if m.hasPolicy && len(items) == 0 {
		m.note(at, "has no rule, so that every image is denied")
	}
	return nil
}

// settingKeys are all that a rule of the original may say under with; most have
// a meaning to some types of validators only, and none to others.
func settingKeys() []string {
	var keys []string
	for _, s := range schemas {
		keys = append(keys, s.with...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// takeSettings reads what a rule says to its validator.
func (m *migration) takeSettings(r *rule, raw any) {
	fields, ok := raw.(map[string]any)
	if raw != nil && !ok {
		m.lost(r.path+".with", "must be a mapping")
		r.denied = true
		return
	}
	at := section{Path: r.path + ".with", Fields: fields}
	kept, ok := m.only(at, settingKeys())
	r.denied = r.denied || !ok || !m.placeholders(at.Path, kept)
	r.with = kept
	v := m.of(r)
	if v == nil {
		return // which is reported with everything else that does not fit together
	}
	for _, key := range slices.Sorted(maps.Keys(kept)) {
		if known, ok := schemas[v.kind]; ok && !slices.Contains(known.with, key) {
			m.note(at.Key(key), "never had a meaning to validators of type %s, and is left out", v.kind)
			delete(kept, key)
		}
	}
	m.rename(r, v)
	m.choose(r, v)
	if _, ok := kept["verifyTimestamp"]; ok && !v.timestamps(r) {
		m.note(at.Key("verifyTimestamp"), "has no effect without a tsCert of the trust root, and is left out")
		delete(kept, "verifyTimestamp")
	}
}

// rename has a rule name the trust roots that stand for those it names.
func (m *migration) rename(r *rule, v *validator) {
	if name, ok := r.with["trustRoot"].(string); ok && v.aliases[name] != "" {
		r.with["trustRoot"] = v.aliases[name]
	}
	required, ok := r.with["required"].([]any)
	if !ok {
		return
	}
	var names []any
	for _, item := range required {
		name, _ := item.(string)
		if same := v.aliases[name]; same != "" {
			item = same
		}
		if !slices.Contains(names, item) {
			names = append(names, item)
		}
	}
	r.with["required"] = names
}

// choose carries over which and how many trust roots must have signed.
func (m *migration) choose(r *rule, v *validator) {
	at := section{Path: r.path + ".with"}
	drop := func(key, why string) {
		m.note(at.Key(key), "%s, and is left out", why)
		delete(r.with, key)
	}
	for _, key := range []string{"required", "delegations"} {
		if list, ok := r.with[key].([]any); ok && len(list) == 0 {
			drop(key, "is empty")
		}
	}
	threshold, given := r.with["threshold"].(int)
	all := r.with["trustRoot"] == trust.All
	required, _ := r.with["required"].([]any)
	switch {
	case given && threshold == 0:
		drop("threshold", "is 0, which means nothing")
	case given && !all:
		drop("threshold", `had no effect without trustRoot: "*"`)
	case given && len(v.aliases) > 0 && threshold > len(v.roots):
		r.with["threshold"] = len(v.roots)
	}
	if !all && len(required) == 1 && required[0] == cmp.Or(r.with["trustRoot"], any(trust.DefaultName)) {
		drop("required", "names the trust root of the rule")
	}
	if all && v.kind == "notation" {
		r.with["threshold"] = 1 // any of them suffices there
	}
}

// timestamps tells whether a trust root that the rule chooses has a timestamp
// authority.
func (v *validator) timestamps(r *rule) bool {
	chosen, _ := r.with["trustRoot"].(string)
	chosen = cmp.Or(chosen, trust.DefaultName)
	return slices.ContainsFunc(v.roots, func(one *root) bool {
		return one.fields["tsCert"] != nil && (chosen == trust.All || one.name() == chosen)
	})
}

// of is a rule's validator; nil if there is none of that name.
func (m *migration) of(r *rule) *validator {
	return m.validator(cmp.Or(r.validator, config.DefaultValidator))
}

// meant is what a rule demands in the original.
func (m *migration) meant(r *rule) strength { return m.of(r).meant() }

// now is what a rule demands here.
func (m *migration) now(r *rule) strength {
	v := m.of(r)
	if r.denied || v == nil || v.lost {
		return denies
	}
	return v.meant()
}
