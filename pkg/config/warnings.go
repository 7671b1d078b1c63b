package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notation"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/static"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// ShippedTrustRoots are the entries of config-trust-roots that come with an
// installation, whether they are used or not.
var ShippedTrustRoots = []string{"connaisseur.pub", "docker-official.pub"}

// warnings lists what is valid, but probably not meant, or weaker than it
// should be.
func warnings(o Objects, doc policyDocument, features feature.Settings, reads map[string]string) strict.Errors {
	var found strict.Errors
	found = append(found, ruleWarnings(doc)...)
	found = append(found, validatorWarnings(doc)...)
	found = found.From(PolicyName)
	for _, key := range o.keys(TrustRootsName) {
		if _, read := reads["configmap/"+TrustRootsName+"/"+key]; !read && !slices.Contains(ShippedTrustRoots, key) {
			found = append(found, &strict.Error{Source: TrustRootsName, Path: key, Message: "is used nowhere"})
		}
	}
	for _, what := range slices.Sorted(maps.Keys(reads)) {
		if name, ok := strings.CutPrefix(what, "secret/"); ok && reads[what] == "error" {
			found = append(found, &strict.Error{Source: PolicyName, Path: validatorsKey, Message: fmt.Sprintf("k8s://%s is not there (yet); what is signed with it is denied meanwhile", name)})
		}
	}
	found = append(found, missingCredentials(reads)...)
	if !features.Excludes("kube-system") {
		found = append(found, &strict.Error{Source: FeaturesName, Path: "excludedNamespaces", Message: "lacks kube-system, which the default has: what the cluster itself needs is looked at too"})
	}
	return found
}

// insecurities lists the settings that take protection away, whatever they are
// for. They are warned of, and leave a trace whenever they come into force.
func insecurities(doc policyDocument, features feature.Settings) strict.Errors {
	var found strict.Errors
	for i, rule := range doc.rules {
		at := fmt.Sprintf("%s[%d].with", policyKey, i)
		if rule.With[modeKey] == string(verify.InsecureValidateOnly) {
			found.Add(at+".mode", "what was verified is not pinned, so that something else may run")
		}
		if rule.With[detectionKey] == true {
			found.Add(at+"."+detectionKey, "images of the rule are admitted, whatever is wrong with them, with a warning")
		}
		switch rule.With["verificationLevel"] {
		case notation.Permissive:
			found.Add(at+".verificationLevel", "permissive is insecure: signatures are accepted that have expired, whose certificates have expired, or were revoked")
		case notation.Audit:
			found.Add(at+".verificationLevel", "audit is insecure: signatures of anybody at all are accepted, and no more than noted")
		}
	}
	for i, v := range doc.validators {
		if v.Settings["insecureSkipRevocation"] == true {
			found.Add(fmt.Sprintf("%s[%d].insecureSkipRevocation", validatorsKey, i), "signatures are accepted whose certificates were revoked")
		}
	}
	for i, r := range doc.registries {
		if r.Insecure {
			found.Add(fmt.Sprintf("%s[%d].insecure", registriesKey, i), "whoever is on the way to %s can read and change what it says", r.Host)
		}
	}
	return append(found.From(PolicyName), weakFeatures(features)...)
}

// weakFeatures lists the same of config-features.
func weakFeatures(features feature.Settings) (found strict.Errors) {
	for _, weak := range []struct {
		key     string
		is      bool
		message string
	}{
		{"webhook.failurePolicy", features.Webhook.FailurePolicy == feature.Ignore, "Ignore admits everything while the webhook cannot be reached"},
		{"detectionMode", features.DetectionMode, "nothing is denied; what would be is warned of"},
		{"namespacedValidation.mode", features.NamespacedValidation.Mode == feature.IgnoreLabeled, "whoever may label a namespace " + feature.NamespaceLabel + "=ignore may run anything there"},
		{"namespacedValidation.mode", features.NamespacedValidation.Mode == feature.ValidateLabeled, "anything may run in namespaces without the label " + feature.NamespaceLabel + "=validate, and whoever may take it away may run anything there"},
		{"resourceValidationMode", features.PodsOnly(), "podsOnly lets in Deployments and the like whose Pods are denied later"},
		{"automaticChildApproval", features.ChildApproval() == feature.TrustedOwners, "trustOwners admits what was never verified, if an object has it that was let in while nobody looked"},
		{sharedCacheKey + ".insecurePlaintext", features.Cache.Shared.InsecurePlaintext, "whoever is on the way to Redis can read its password and what was verified, and take entries away; they can forge none"},
		{"onInconclusive", features.OnInconclusive == feature.LastKnownGood, "lastKnownGood admits what may have been revoked since it was verified"},
	} {
		if weak.is {
			found.Add(weak.key, "%s", weak.message)
		}
	}
	return found.From(FeaturesName)
}

func missingCredentials(reads map[string]string) (found strict.Errors) {
	for _, what := range slices.Sorted(maps.Keys(reads)) {
		if name, ok := strings.CutPrefix(what, entriesOf); ok && reads[what] == "error" {
			found = append(found, &strict.Error{Source: PolicyName, Path: validatorsKey, Message: fmt.Sprintf("Secret %s with credentials for registries is not there (yet); what needs it cannot be checked meanwhile", name)})
		}
	}
	return found
}

func ruleWarnings(doc policyDocument) strict.Errors {
	var found strict.Errors
	if len(doc.rules) == 0 {
		found.Add(policyKey, "has no rule, so that every image is denied")
	}
	patterns := make([]policy.Rule, len(doc.rules))
	for i, rule := range doc.rules {
		patterns[i] = policy.Rule{Pattern: rule.Pattern, Namespaces: rule.Namespaces}
		at := fmt.Sprintf("%s[%d]", policyKey, i)
		if name, _, _ := strings.Cut(rule.Pattern, ":"); strings.Contains(name, ".") && !strings.ContainsAny(name, "*@{") && !strings.Contains(rule.Pattern, "/") {
			found.Add(at+".pattern", "means an image %q of Docker Hub; for a registry write %q", "library/"+name, name+"/*:*")
		}
		if admitsAnything(doc, rule) {
			found.Add(at, "admits every image, signed or not, for which there is no other rule")
		}
	}
	shadowed := policy.Shadowed(patterns)
	for i := range doc.rules {
		if earlier, ok := shadowed[i]; ok {
			found.Add(fmt.Sprintf("%s[%d].pattern", policyKey, i), "never applies: policy[%d] has the same pattern and stands earlier", earlier)
		}
	}
	return found
}

// admitsAnything tells whether a rule allows all images without a signature.
func admitsAnything(doc policyDocument, rule ruleConfig) bool {
	if strings.Trim(rule.Pattern, "*?/:{},") != "" {
		return false // it names something
	}
	name := rule.Validator
	if name == "" {
		name = DefaultValidator
	}
	return slices.ContainsFunc(doc.validators, func(v validatorConfig) bool {
		return v.Name == name && v.Type == static.Type && v.Settings["approve"] == true
	})
}

// uses tells whether the rule's validator is that one.
func (r ruleConfig) uses(name string) bool {
	return r.Validator == name || (r.Validator == "" && name == DefaultValidator)
}

// counts tells whether several trust roots must have signed.
func (r ruleConfig) counts() bool {
	return r.With["trustRoot"] == trust.All && fmt.Sprint(r.With["threshold"]) != "1"
}

func validatorWarnings(doc policyDocument) strict.Errors {
	var found strict.Errors
	for i, v := range doc.validators {
		used := slices.ContainsFunc(doc.rules, func(r ruleConfig) bool { return r.uses(v.Name) })
		if !used {
			found.Add(fmt.Sprintf("%s[%d]", validatorsKey, i), "no rule uses the validator %q", v.Name)
		}
		roots, _ := v.Settings["trustRoots"].([]any)
		for j, root := range roots {
			fields, _ := root.(map[string]any)
			if keyless, ok := fields["keyless"].(map[string]any); ok && anybody(keyless) {
				found.Add(fmt.Sprintf("%s[%d].trustRoots[%d].keyless", validatorsKey, i, j), "trusts whoever has a certificate, which anybody can have")
			} else if subject, _ := keyless["subject"].(string); strings.Contains(subject, "*") {
				found.Add(fmt.Sprintf("%s[%d].trustRoots[%d].keyless.subject", validatorsKey, i, j), "is compared letter by letter, * too; subjectRegex takes a regular expression")
			}
		}
	}
	return found
}

// overlaps lists the trust roots that rules count, and that one signer's authority
// can make up alone.
func overlaps(doc policyDocument, validators map[string]builtin.Configured) (found strict.Errors) {
	for _, v := range doc.validators {
		if slices.ContainsFunc(doc.rules, func(r ruleConfig) bool { return r.uses(v.Name) && r.counts() }) {
			found = append(found, builtin.Overlaps(validators[v.Name])...)
		}
	}
	return found
}

// anybody tells whether an identity's subject is anything at all: an issuer
// alone is a mail provider or a forge, with all of its users.
func anybody(keyless map[string]any) bool {
	expression, _ := keyless["subjectRegex"].(string)
	return expression != "" && strings.Trim(expression, "^$.*+()") == ""
}
