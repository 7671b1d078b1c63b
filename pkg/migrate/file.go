package migrate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// section is a mapping of the file, and where it stands.
type section = strict.Object

// file is what is to be migrated, wherever it stands.
type file struct {
	// policy has the validators and the policy; in values it is the section
	// application.
	policy section
	// values are the whole of a values file; nil for what is rendered from one.
	values   map[string]any
	alerting any
}

// The keys at the top of the two kinds of files.
var (
	valuesKeys   = []string{"application", "alerting", "kubernetes"}
	renderedKeys = []string{"validators", "policy", "alerting"}
)

// configEntry is the entry of the chart's ConfigMap that holds what is rendered.
const configEntry = "config.yaml"

// read finds out what kind of file it is.
func read(text []byte) (*file, error) {
	if len(text) > MaxBytes {
		return nil, fmt.Errorf("it has more than %d bytes", MaxBytes)
	}
	raw, errs := strict.YAML("", string(text))
	if err := errs.Err(); err != nil {
		return nil, err
	}
	top, ok := raw.(map[string]any)
	if !ok {
		return nil, errors.New("it must be a mapping with keys that are strings")
	}
	data, _ := top["data"].(map[string]any)
	if inner, ok := data[configEntry].(string); ok && top["kind"] == "ConfigMap" {
		return read([]byte(inner))
	}
	has := func(keys ...string) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return top[key] != nil })
	}
	switch {
	case has("application", "kubernetes"):
		f := &file{values: top, alerting: top["alerting"], policy: section{Path: "application"}}
		f.policy.Fields, ok = top["application"].(map[string]any)
		if top["application"] != nil && !ok {
			return nil, errors.New("application: must be a mapping")
		}
		return f, nil
	case has("validators", "policy"):
		return &file{policy: section{Fields: top}, alerting: top["alerting"]}, nil
	case has("alerting"):
		return &file{values: top, alerting: top["alerting"], policy: section{Path: "application"}}, nil
	}
	return nil, fmt.Errorf("it is neither a values file of Connaisseur's chart (%s) nor what the chart renders from one (%s)",
		strings.Join(valuesKeys, ", "), strings.Join(renderedKeys, ", "))
}

// applicationKeys are those of the section application.
var applicationKeys = []string{"validators", "policy", "features", "logLevel", "logFormat"}

// unknownKeys reports the keys that the chart does not know, either. alerts was
// one of version 2, and stands empty in many files.
func (m *migration) unknownKeys(f *file) {
	if f.values == nil {
		m.only(f.policy, renderedKeys)
		return
	}
	m.only(section{Fields: f.values}, valuesKeys)
	m.only(f.policy, applicationKeys)
	for _, key := range []string{"validators", "policy"} {
		if f.policy.Fields[key] == nil {
			m.lost(f.policy.Key(key), "is not in the file, so that the chart's own holds: give the values that it was installed with (helm get values --all -o yaml RELEASE)")
		}
	}
}

// only keeps what the original knows of a mapping, and reports the rest; ok tells
// whether that is all.
func (m *migration) only(s section, known []string) (kept map[string]any, ok bool) {
	kept, ok = map[string]any{}, true
	for _, key := range slices.Sorted(maps.Keys(s.Fields)) {
		value := s.Fields[key]
		switch {
		case value == nil: // which is how Helm takes a default away
		case slices.Contains(known, key):
			kept[key] = value
		case empty(value):
			m.note(s.Key(key), "is unknown, and empty")
		default:
			m.lost(s.Key(key), "is unknown to Connaisseur 3%s", strict.Suggest(key, known))
			ok = false
		}
	}
	return kept, ok
}

// empty tells whether a value says nothing.
func empty(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	}
	return false
}

// placeholders reports the texts of a value that something was to replace: Helm
// does not, and neither does anybody here. ok tells that there is none.
func (m *migration) placeholders(path string, value any) (ok bool) {
	ok = true
	switch v := value.(type) {
	case string:
		if strings.Contains(v, "{{") || strings.Contains(v, "${") {
			m.lost(path, "holds a placeholder ({{…}} or ${…}); put in what it stands for")
			return false
		}
	case []any:
		for i, item := range v {
			ok = m.placeholders(fmt.Sprintf("%s[%d]", path, i), item) && ok
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			ok = m.placeholders(section{Path: path}.Key(key), v[key]) && ok
		}
	}
	return ok
}

// list gives the items of a list, and reports what is none.
func (m *migration) list(path string, value any) []any {
	items, ok := value.([]any)
	if value != nil && !ok {
		m.lost(path, "must be a list")
	}
	return items
}
