package config

import "slices"

// RuleText is what the configuration says about a rule, for explanations. What
// applies is the snapshot's.
type RuleText struct {
	// Namespaces are those that the rule is for; empty means all.
	Namespaces []string
	// ValidatorType is the type of the rule's validator; empty if there is no
	// such validator.
	ValidatorType string
	// Approve is a static validator's answer; nil for other types.
	Approve *bool
	// With holds the rule's own settings.
	With map[string]any
}

func ruleTexts(doc policyDocument) []RuleText {
	texts := make([]RuleText, len(doc.rules))
	for i, rule := range doc.rules {
		texts[i] = RuleText{Namespaces: rule.Namespaces, With: rule.With}
		name := rule.Validator
		if name == "" {
			name = DefaultValidator
		}
		j := slices.IndexFunc(doc.validators, func(v validatorConfig) bool { return v.Name == name })
		if j < 0 {
			continue
		}
		texts[i].ValidatorType = doc.validators[j].Type
		if approve, ok := doc.validators[j].Settings["approve"].(bool); ok {
			texts[i].Approve = &approve
		}
	}
	return texts
}
