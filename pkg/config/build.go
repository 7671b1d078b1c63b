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
	rules, errs := b.compile(doc, features, source)
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

	weak, ended := weakExceptions(exceptions, b.time())
	built.Insecure = append(insecurities(doc, features), weak...)
	built.Warnings = slices.Concat(built.Insecure, ended, warnings(o, doc, features, source.reads), overlaps(doc, rules.validators).From(PolicyName), source.unavailable(), unsent, unshared)
	built.Rules = ruleTexts(doc)
	built.Findings, built.Alerts, built.SharedCache = alerting.findings, alerting.alerts, sharing
	maps.Copy(source.reads, told.reads)
	if len(built.Errors) > 0 {
		return built
	}
	b.release(rules.trusting)
	built.Expiries = rules.expiries(doc)
	built.Hosts = append(rules.policy.Hosts(), rules.client.Hosts()...)
	built.Snapshot = &verify.Snapshot{
		Revision:  revision(o, source.reads),
		Namespace: o.Namespace,
		Policy:    rules.policy,
		Rules:     rules.rules,

		Exceptions: exceptions,
		Features:   features,
		Workloads:  kinds,
	}
	if rules.sharing != nil {
		rules.sharing.Revision, rules.sharing.Source = built.Snapshot.Revision, sharing.Identity()
	}
	return built
}

// time is now.
func (b *Builder) time() time.Time {
	if b.now != nil {
		return b.now()
	}
	return time.Now()
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

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
