package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/cloud"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notation"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// DefaultValidator is the validator that is meant where a rule names none.
const DefaultValidator = "default"

// Builder builds snapshots. What outlives a snapshot is its own: the cache, what
// is known of notary servers' repositories and of revoked certificates, and the
// connections to registries as long as their settings stay the same.
type Builder struct {
	cache    *cache.Cache
	keychain authn.Keychain
	pulls    builtin.PullSecrets
	logins   *credentials.Set
	notaries *notaryv1.State
	revoked  *notation.State
	now      func() time.Time
	// instruments measure requests to registries; nil for none.
	instruments *observability.Instruments

	mu      sync.Mutex
	client  *registry.Client
	options registry.Options
	// trusting are like client, each with more certificates; by their hash.
	trusting map[string]*registry.Client
}

// NewBuilder makes a Builder whose snapshots share the cache.
func NewBuilder(c *cache.Cache) *Builder {
	return &Builder{cache: c, keychain: cloud.New(), notaries: notaryv1.NewState(), revoked: notation.NewState(), trusting: map[string]*registry.Client{}}
}

// WithInstruments has requests to registries measured.
func (b *Builder) WithInstruments(instruments *observability.Instruments) *Builder {
	b.instruments = instruments
	return b
}

// Built is what came of a configuration.
type Built struct {
	// Snapshot is nil if anything is wrong.
	Snapshot *verify.Snapshot
	// Errors is everything that is wrong.
	Errors strict.Errors
	// Warnings are what is valid but probably not meant, or weaker than it
	// should be.
	Warnings strict.Errors
	// Insecure are those of the warnings about settings that take protection away.
	Insecure strict.Errors
	// Findings is where findings go.
	Findings finding.Settings
	// Expiries tells when the validators' certificates expire.
	Expiries []observability.Expiry
	// Hosts are the registries that the configuration names.
	Hosts []string
	// Alerts is whom alerts are sent to.
	Alerts alert.Settings
	// SharedCache is where the cache is that replicas share.
	SharedCache shared.Settings
	// Rules is what was written about each rule, in the policy's order, for
	// explanations.
	Rules []RuleText

	reads map[string]string
}

// Build builds a snapshot: defaults, strict parse, cross-checks, immutable
// value.
func (b *Builder) Build(o Objects) Built {
	source := &recorder{Source: o, reads: map[string]string{}}
	built := Built{reads: source.reads}

	fields, errs := parseFeatures(o)
	built.Errors = append(built.Errors, errs...)
	features, errs := feature.Parse(fields)
	built.Errors = append(built.Errors, errs.From(FeaturesName)...)

	doc, errs := parsePolicy(o)
	built.Errors = append(built.Errors, errs...)
	client, by, errs := b.registries(doc.registries, features.Limits, source)
	built.Errors = append(built.Errors, errs.From(PolicyName)...)
	if client == nil {
		client = noRegistries() // so that what else is wrong is found too
	}
	used := map[string]bool{}
	validators, errs := buildValidators(doc.validators, builtin.Dependencies{
		Trust:       source,
		Registry:    client,
		Trusting:    func(cas []byte) (*registry.Client, error) { return b.trust(client, cas, used) },
		Secrets:     source,
		Logins:      b.logins,
		PullSecrets: b.pulls,
		Keychain:    b.keychain,
		Notaries:    b.notaries,
		Revocations: b.revoked,
		Now:         b.now,
	})
	built.Errors = append(built.Errors, errs.From(PolicyName)...)
	retention := cache.Retention{Expiry: features.Cache.Expiry(), Denials: features.Cache.CacheErrors}
	if features.Cache.Shared.URL != "" {
		retention.Sharing = &cache.Sharing{} // by a revision that is not known before everything is read
	}
	compiled, rules, errs := b.buildRules(doc.rules, validators, retention, by)
	built.Errors = append(built.Errors, errs.From(PolicyName)...)
	exceptions, errs := parseExceptions(doc.exceptions)
	built.Errors = append(built.Errors, errs.From(PolicyName)...)
	kinds, errs := parseWorkloads(o)
	built.Errors = append(built.Errors, errs...)
	// What it refers to is noted apart: that it is not there is no matter of trust.
	told := &recorder{Source: o, reads: map[string]string{}}
	alerting, unsent, errs := parseAlerting(o, told)
	built.Errors = append(built.Errors, errs...)
	sharing, unshared, errs := parseSharedCache(features.Cache, told)
	built.Errors = append(built.Errors, errs...)
	now := time.Now
	if b.now != nil {
		now = b.now
	}
	weak, ended := weakExceptions(exceptions, now())
	built.Insecure = append(insecurities(doc, features), weak...)
	built.Warnings = slices.Concat(built.Insecure, ended, warnings(o, doc, features, source.reads), overlaps(doc, validators).From(PolicyName), source.unavailable(), unsent, unshared)
	built.Rules = ruleTexts(doc)
	built.Findings, built.Alerts, built.SharedCache = alerting.findings, alerting.alerts, sharing
	maps.Copy(source.reads, told.reads)
	if len(built.Errors) > 0 {
		return built
	}
	b.release(used)
	for _, v := range doc.validators {
		for _, e := range builtin.Expiries(validators[v.Name]) {
			built.Expiries = append(built.Expiries, observability.Expiry{Validator: v.Name, TrustRoot: e.Root, At: e.At})
		}
	}
	built.Hosts = append(compiled.Hosts(), client.Hosts()...)
	built.Snapshot = &verify.Snapshot{
		Revision:  revision(o, source.reads),
		Namespace: o.Namespace,
		Policy:    compiled,
		Rules:     rules,

		Exceptions: exceptions,
		Features:   features,
		Workloads:  kinds,
	}
	if retention.Sharing != nil {
		retention.Sharing.Revision, retention.Sharing.Source = built.Snapshot.Revision, sharing.Identity()
	}
	return built
}

// registries builds the client, or keeps the one there is if nothing changed,
// and identifies its settings.
func (b *Builder) registries(configs []registryConfig, limits feature.Limits, source trust.Source) (*registry.Client, string, strict.Errors) {
	options := registry.Options{Instruments: b.instruments, Limits: registry.Limits{
		Signatures:       limits.Signatures,
		ManifestBytes:    limits.ManifestBytes,
		PayloadBytes:     limits.PayloadBytes,
		AttestationBytes: limits.AttestationBytes,
	}}
	var errs strict.Errors
	for i, config := range configs {
		at := fmt.Sprintf("%s[%d]", registriesKey, i)
		host := registry.Host{Name: image.CanonicalHost(config.Host), Insecure: config.Insecure, Mirror: config.Mirror}
		if config.Host == "" {
			errs.Add(at+".host", "is missing")
		}
		if config.Cert != "" {
			host.CAs = readCertificates(at+".cert", config.Cert, source, &errs)
		}
		// Each host by itself, so that the error names the right one.
		if _, err := registry.New(registry.Options{Hosts: []registry.Host{host}}); err != nil && config.Host != "" {
			errs.Add(at, "%v", err)
		}
		options.Hosts = append(options.Hosts, host)
	}
	if len(errs) > 0 {
		return nil, "", errs
	}
	by := hash(fmt.Sprintf("%#v %v", options.Hosts, options.Limits))[:12]
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil && reflect.DeepEqual(b.options, options) {
		return b.client, by, nil
	}
	client, err := registry.New(options)
	if err != nil {
		return nil, "", strict.Errors{strict.Errorf(registriesKey, "%v", err)}
	}
	if b.client != nil {
		b.client.Close()
	}
	b.closeTrusting(nil)
	b.client, b.options = client, options
	return client, by, nil
}

// noRegistries is a client with default settings, for checks only.
func noRegistries() *registry.Client {
	client, err := registry.New(registry.Options{})
	if err != nil {
		panic(err) // the zero options are valid; registry's tests say so
	}
	return client
}

func readCertificates(path, reference string, source trust.Source, errs *strict.Errors) []byte {
	ref, err := trust.ParseReference(reference)
	if err != nil {
		errs.Add(path, "%v", err)
		return nil
	}
	if _, ok := ref.KMS(); ok {
		errs.Add(path, "must be PEM text or configmap://NAME/KEY; a KMS has keys, and no certificates")
		return nil
	}
	text, err := ref.Read(source)
	if err != nil {
		e := strict.Errorf(path, "%s: %v", reference, err)
		e.Dangling = errors.Is(err, trust.ErrNotThere)
		*errs = append(*errs, e)
		return nil
	}
	if certificates, err := cryptoutils.UnmarshalCertificatesFromPEM(text); err != nil || len(certificates) == 0 {
		errs.Add(path, "must hold PEM certificates and nothing else")
	}
	return text
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

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
