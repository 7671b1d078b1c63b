package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/static"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// The entries of config-policy.
const (
	validatorsKey = "validators"
	policyKey     = "policy"
	registriesKey = "registries"
	exceptionsKey = "exceptions"
)

// validatorConfig is an item of the list validators. What its type defines is
// in Settings.
type validatorConfig struct {
	Name     string         `config:"name"`
	Type     string         `config:"type"`
	Settings map[string]any `config:",remain"`
}

// ruleConfig is an item of the list policy.
type ruleConfig struct {
	Pattern    string         `config:"pattern"`
	Namespaces []string       `config:"namespaces"`
	Validator  string         `config:"validator"`
	With       map[string]any `config:"with"`
}

// The keys of a rule's "with" that are the engine's; all others are the
// validator's.
const (
	modeKey      = "mode"
	detectionKey = "detection"
)

// registryConfig is an item of the list registries.
type registryConfig struct {
	Host     string `config:"host"`
	Insecure bool   `config:"insecure"`
	Mirror   string `config:"mirror"`
	Cert     string `config:"cert"`
}

// policyDocument is config-policy as it was written.
type policyDocument struct {
	validators []validatorConfig
	rules      []ruleConfig
	registries []registryConfig
	exceptions []exceptionConfig
}

// defaultPolicy is what holds as long as nothing is configured: everything is
// denied but Kubernetes' own images. It is here and not in the shipped
// ConfigMap so that installing again leaves alone what somebody has set there.
func defaultPolicy() ([]validatorConfig, []ruleConfig) {
	return []validatorConfig{
			{Name: "allow", Type: static.Type, Settings: map[string]any{"approve": true}},
			{Name: "deny", Type: static.Type, Settings: map[string]any{"approve": false}},
		}, []ruleConfig{
			{Pattern: "*:*", Validator: "deny"},
			{Pattern: "registry.k8s.io/*:*", Validator: "allow"},
		}
}

// parsePolicy reads config-policy.
func parsePolicy(o Objects) (policyDocument, strict.Errors) {
	var doc policyDocument
	if o.ConfigMaps[PolicyName] == nil {
		return doc, strict.Errors{{Source: PolicyName, Message: fmt.Sprintf("there is no such ConfigMap in namespace %q", o.Namespace)}}
	}
	var errs strict.Errors
	targets := map[string]any{validatorsKey: &doc.validators, policyKey: &doc.rules, registriesKey: &doc.registries, exceptionsKey: &doc.exceptions}
	keys := o.keys(PolicyName)
	if !slices.Contains(keys, validatorsKey) && !slices.Contains(keys, policyKey) {
		doc.validators, doc.rules = defaultPolicy()
	}
	for _, key := range keys {
		target, ok := targets[key]
		if !ok {
			errs.Add(key, "unknown key%s", strict.Suggest(key, []string{validatorsKey, policyKey, registriesKey, exceptionsKey}))
			continue
		}
		raw, bad := strict.YAML(key, o.text(PolicyName, key))
		if len(bad) == 0 {
			bad = strict.Decode(key, raw, target)
		}
		if key == policyKey || key == exceptionsKey {
			bad = append(bad, emptyNamespaces(key, raw)...)
		}
		errs = append(errs, bad...)
	}
	return doc, errs.From(PolicyName)
}

// emptyNamespaces finds the rules or exceptions whose namespaces are there, but
// empty: a list that a template left empty must not make one for all namespaces.
func emptyNamespaces(key string, raw any) (errs strict.Errors) {
	rules, _ := raw.([]any)
	for i, rule := range rules {
		fields, _ := rule.(map[string]any)
		namespaces, ok := fields["namespaces"]
		list, isList := namespaces.([]any)
		if ok && (namespaces == nil || isList && len(list) == 0) {
			errs.Add(fmt.Sprintf("%s[%d].namespaces", key, i), "is empty; leave it out for all namespaces")
		}
	}
	return errs
}

// modes are what mode can be.
var modes = []string{string(verify.Mutate), string(verify.MutatePodsOnly), string(verify.InsecureValidateOnly)}

// parseHandling takes out of a rule's settings what is the engine's, and leaves the
// validator's.
func parseHandling(rule *verify.Rule, with strict.Object) (rest strict.Object, errs strict.Errors) {
	rest = strict.Object{Path: with.Path, Fields: map[string]any{}}
	rule.Mode = verify.Mutate
	for key, value := range with.Fields {
		switch key {
		case modeKey:
			text, _ := value.(string)
			if !slices.Contains(modes, text) {
				errs.Add(with.Key(modeKey), "is %v, but must be %s or %s%s", value, strings.Join(modes[:2], ", "), modes[2], strict.Suggest(text, modes))
				continue
			}
			rule.Mode = verify.Mode(text)
		case detectionKey:
			detects, ok := value.(bool)
			if !ok {
				errs.Add(with.Key(detectionKey), "is %v, but must be true or false", value)
			}
			rule.Detection = detects
		default:
			rest.Fields[key] = value
		}
	}
	return rest, errs
}

// parseFeatures reads config-features into one tree. A value is YAML; a key
// may name a nested setting with dots.
func parseFeatures(o Objects) (map[string]any, strict.Errors) {
	var errs strict.Errors
	tree := map[string]any{}
	for _, key := range o.keys(FeaturesName) {
		value, bad := strict.YAML(key, o.text(FeaturesName, key))
		errs = append(errs, bad...)
		if len(bad) > 0 || value == nil {
			continue
		}
		if err := insert(tree, strings.Split(key, "."), value); err != nil {
			errs.Add(key, "%v", err)
		}
	}
	return tree, errs.From(FeaturesName)
}

// insert puts a value at a path of the tree. What is there already must not
// say something else.
func insert(tree map[string]any, path []string, value any) error {
	for _, name := range path[:len(path)-1] {
		next, ok := tree[name]
		if !ok {
			next = map[string]any{}
			tree[name] = next
		}
		if tree, ok = next.(map[string]any); !ok {
			return fmt.Errorf("%s has a value of its own already", name)
		}
	}
	leaf := path[len(path)-1]
	there, exists := tree[leaf]
	if !exists {
		tree[leaf] = value
		return nil
	}
	inner, isMap := value.(map[string]any)
	if _, ok := there.(map[string]any); !ok || !isMap {
		return fmt.Errorf("is set twice")
	}
	for key, v := range inner {
		if err := insert(there.(map[string]any), []string{key}, v); err != nil {
			return fmt.Errorf("%s %w", key, err)
		}
	}
	return nil
}
