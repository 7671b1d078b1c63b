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
	// to is the key of config-features that has the same meaning; or else
	// there is none, and
	to string
	// same is the value, in lower case, that is how we always behave.
	same string
	// usual is the value that the original has by default where we behave
	// otherwise, if there is one; it makes us stricter, in this way.
	usual, stricter string
	// lost is what is no longer done with any other value.
	lost string
}

// features has a line for each setting. What is supported some day gets a "to".
var features = []feature{
	{key: "cache.expirySeconds", to: "cache.expirySeconds"},
	{key: "cache.cacheErrors", to: "cache.cacheErrors"},
	{key: "automaticChildApproval", same: "false", usual: "true",
		stricter: "the images of Pods and ReplicaSets are verified themselves too, whoever owns them"},
	{key: "automaticUnchangedApproval", same: "false",
		lost: "an update that changes no image is verified; it is admitted if its images cannot be checked just now, and denied if they are not trusted any more"},
	{key: "detectionMode", same: "false", lost: "what was only warned of is denied"},
	{key: "resourceValidationMode", same: "all", lost: "other workloads than Pods are denied too, and not only warned of"},
	{key: "namespacedValidation.mode", usual: "ignore",
		stricter: "the label securesystemsengineering.connaisseur/webhook of a namespace has no effect; list namespaces that are not to be looked at as excludedNamespaces in config-features",
		lost:     "all namespaces are looked at, whatever their labels; list those that are not to be as excludedNamespaces in config-features"},
	{key: "namespacedValidation.enabled", same: "true", lost: "all namespaces are looked at, as before"},
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
	set := strings.ToLower(fmt.Sprint(value))
	switch f := features[i]; {
	case f.to != "":
		m.features[f.to] = fmt.Sprint(value)
	case set == f.same:
	case set == f.usual:
		m.stricter(path, "is %v, which there is not here: %s", value, f.stricter)
	default:
		m.lost(path, "is %v, which there is not here: %s", value, f.lost)
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
