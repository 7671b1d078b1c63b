package config

import (
	"fmt"
	"slices"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// rulebook is a policy with what its rules need.
type rulebook struct {
	client     *registry.Client
	trusting   map[string]bool // which of the Builder's clients with more certificates are used
	validators map[string]builtin.Configured
	policy     *policy.Policy
	rules      []verify.Rule
	// sharing is nil where replicas share no results. The revision is not known before
	// everything is read, and is set then.
	sharing *cache.Sharing
}

// compile makes registries, validators and rules of what is written. Where something
// is wrong, it goes on, so that what else is wrong is found too.
func (b *Builder) compile(doc policyDocument, features feature.Settings, source *recorder) (rulebook, strict.Errors) {
	book := rulebook{trusting: map[string]bool{}}
	client, by, errs := b.registries(doc.registries, features.Limits, source)
	if client == nil {
		client = noRegistries()
	}
	validators, bad := buildValidators(doc.validators, builtin.Dependencies{
		Trust:       source,
		Registry:    client,
		Trusting:    func(cas []byte) (*registry.Client, error) { return b.trust(client, cas, book.trusting) },
		Secrets:     source,
		Logins:      b.logins,
		PullSecrets: b.pulls,
		Keychain:    b.keychain,
		Notaries:    b.notaries,
		Revocations: b.revoked,
		Now:         b.now,
	})
	errs = append(errs, bad...)
	retention := cache.Retention{Expiry: features.Cache.Expiry(), Denials: features.Cache.CacheErrors}
	if features.Cache.Shared.URL != "" {
		book.sharing = &cache.Sharing{}
		retention.Sharing = book.sharing
	}
	book.client, book.validators = client, validators
	book.policy, book.rules, bad = b.buildRules(doc.rules, validators, retention, by)
	return book, append(errs, bad...)
}

// expiries are those of the validators' certificates.
func (r rulebook) expiries(doc policyDocument) (all []observability.Expiry) {
	for _, v := range doc.validators {
		for _, e := range builtin.Expiries(r.validators[v.Name]) {
			all = append(all, observability.Expiry{Validator: v.Name, TrustRoot: e.Root, At: e.At})
		}
	}
	return all
}

// buildValidators builds each validator; those with errors are in the map too,
// as nil, so that rules that name them are not called wrong.
func buildValidators(configs []validatorConfig, deps builtin.Dependencies) (map[string]builtin.Configured, strict.Errors) {
	validators := map[string]builtin.Configured{}
	var errs strict.Errors
	for i, config := range configs {
		settings := strict.Object{Path: fmt.Sprintf("%s[%d]", validatorsKey, i), Fields: config.Settings}
		if config.Name == "" {
			errs.Add(settings.Key("name"), "is missing")
		} else if _, ok := validators[config.Name]; ok {
			errs.Add(settings.Key("name"), "another validator is named %q already", config.Name)
		}
		validators[config.Name] = nil
		construct, ok := builtin.Lookup(config.Type)
		if !ok {
			errs.Add(settings.Key("type"), "%q is no type of validator%s", config.Type, strict.Suggest(config.Type, builtin.Types()))
			continue
		}
		configured, bad := construct(config.Name, settings, deps)
		if errs = append(errs, bad...); len(bad) == 0 {
			validators[config.Name] = configured
		}
	}
	return validators, errs
}

// buildRules compiles the policy and binds each rule to its validator. Rules
// with the same validator and settings share one.
func (b *Builder) buildRules(configs []ruleConfig, validators map[string]builtin.Configured, retention cache.Retention, by string) (*policy.Policy, []verify.Rule, strict.Errors) {
	var errs strict.Errors
	patterns := make([]policy.Rule, len(configs))
	rules := make([]verify.Rule, len(configs))
	shared := map[string]verify.Rule{}
	for i, config := range configs {
		patterns[i] = policy.Rule{Pattern: config.Pattern, Namespaces: config.Namespaces}
		name := config.Validator
		if name == "" {
			name = DefaultValidator
		}
		alike := fmt.Sprintf("%q %#v", name, config.With) // with types and quotes; fmt sorts maps
		rule, ok := shared[alike]
		if !ok {
			var bad strict.Errors
			rule, bad = b.bind(i, name, config.With, validators, retention, by)
			if errs = append(errs, bad...); len(bad) == 0 {
				shared[alike] = rule
			}
		}
		rule.Index, rule.Pattern = i, config.Pattern
		rules[i] = rule
	}
	compiled, bad := policy.Compile(patterns)
	for _, e := range bad {
		errs.Add(fmt.Sprintf("%s[%d].%s", policyKey, e.Index, e.Field), "%v", e.Err)
	}
	return compiled, rules, errs
}

// bind makes a rule of a validator and the rule's settings for it.
func (b *Builder) bind(i int, name string, with map[string]any, validators map[string]builtin.Configured, retention cache.Retention, by string) (verify.Rule, strict.Errors) {
	at := fmt.Sprintf("%s[%d]", policyKey, i)
	rule := verify.Rule{ValidatorName: name}
	settings, errs := parseHandling(&rule, strict.Object{Path: at + ".with", Fields: with})
	named, ok := validators[name]
	if !ok {
		known := make([]string, 0, len(validators))
		for name := range validators {
			known = append(known, name)
		}
		slices.Sort(known)
		errs.Add(at+".validator", "no validator named %q%s", name, strict.Suggest(name, known))
	}
	if named == nil {
		return rule, errs // whatever is wrong with it was said
	}
	bound, resolver, bad := named.Bind(settings)
	if errs = append(errs, bad...); len(errs) > 0 {
		return rule, errs
	}
	rule.ValidatorType, rule.PullSecrets = builtin.Type(named), builtin.UsesPullSecrets(named)
	cached, resolver := b.cache.Wrap(reached{bound, by}, resolver, retention)
	rule.Validator, rule.Memory, rule.Resolver = cached, cached, resolver
	return rule, errs
}
