package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// feature is what becomes of a setting of the section features.
type feature struct {
	key string
	// to is the key of config-features that has the same meaning; without one, same
	// is the value, in lower case, that is how we always behave, and lost is what is no
	// longer done with any other.
	to, same, lost string
	// stricter is what is stricter here where the value, in lower case, is usual.
	usual, stricter string
}

// enabled switches namespaced validation off in older values.
const enabled = "namespacedValidation.enabled"

// features has a line for each setting.
var features = []feature{
	{key: "cache.expirySeconds", to: "cache.expirySeconds"},
	{key: "cache.cacheErrors", to: "cache.cacheErrors"},
	{key: "automaticChildApproval", to: "automaticChildApproval", usual: "true",
		stricter: "an owner's word is not enough here: the digest must have been verified before, or it is verified; trustOwners in config-features is what it was"},
	{key: "automaticUnchangedApproval", to: "automaticUnchangedApproval"},
	{key: "detectionMode", to: "detectionMode"},
	{key: "resourceValidationMode", to: "resourceValidationMode"},
	{key: "namespacedValidation.mode", to: "namespacedValidation.mode"},
	{key: enabled, same: "true", lost: "no label of a namespace has any effect"},
}

// takeFeatures reads how the webhook behaves.
func (m *migration) takeFeatures(f *file) {
	if f.values == nil {
		return // it is not in what the chart renders for the policy
	}
	at := section{Path: f.policy.Key("features")}
	fields, ok := f.policy.Fields["features"].(map[string]any)
	if f.policy.Fields["features"] != nil && !ok {
		m.lost(at.Path, "must be a mapping")
	}
	settings := map[string]any{}
	flatten("", fields, settings)
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if m.placeholders(at.Key(key), settings[key]) {
			m.takeFeature(at.Key(key), key, settings[key])
		}
	}
	if settings[enabled] == false {
		delete(m.features, "namespacedValidation.mode")
	}
	m.features["excludedNamespaces"] = "[]"
	m.note(at.Path, "kube-system is looked at, as before and unlike in a new installation; take excludedNamespaces out of config-features if it is not to be")
}

func (m *migration) takeFeature(path, key string, value any) {
	i := slices.IndexFunc(features, func(f feature) bool { return f.key == key })
	if i < 0 {
		var known []string
		for _, f := range features {
			known = append(known, f.key)
		}
		m.lost(path, "is unknown to Connaisseur 3%s", strict.Suggest(key, known))
		return
	}
	f, set := features[i], strings.ToLower(fmt.Sprint(value))
	switch {
	case f.to != "":
		m.features[f.to] = fmt.Sprint(value)
	case set != f.same:
		m.lost(path, "is %v, which there is not here: %s", value, f.lost)
	}
	if f.usual != "" && set == f.usual {
		m.stricter(path, "is %v: %s", value, f.stricter)
	}
}

// featurePath is where a key of config-features stands in the file.
func (m *migration) featurePath(key string) string {
	if key == failurePolicy {
		return "kubernetes.webhook.failurePolicy"
	}
	return "application.features." + key
}

// flatten gives the settings of a tree by their paths.
func flatten(path string, tree, into map[string]any) {
	for key, value := range tree {
		at := section{Path: path}.Key(key)
		if below, ok := value.(map[string]any); ok {
			flatten(at, below, into)
		} else if value != nil {
			into[at] = value
		}
	}
}
