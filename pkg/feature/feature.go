// Package feature holds the settings of config-features as typed values.
package feature

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// FailurePolicy is what the API server does when the webhook gives no answer.
type FailurePolicy string

// The failure policies of Kubernetes.
const (
	Fail   FailurePolicy = "Fail"
	Ignore FailurePolicy = "Ignore"
)

// Settings are the features' settings.
type Settings struct {
	// ExcludedNamespaces are names of namespaces whose workloads are not
	// looked at.
	ExcludedNamespaces []string `config:"excludedNamespaces"`
	Cache              Cache    `config:"cache"`
	Webhook            Webhook  `config:"webhook"`
	Limits             Limits   `config:"limits"`
	// DetectionMode reports what is wrong, and blocks nothing.
	DetectionMode bool `config:"detectionMode"`
	// NamespacedValidation lets a label of a namespace say whether its workloads are
	// looked at.
	NamespacedValidation NamespacedValidation `config:"namespacedValidation"`
	// ResourceValidationMode is AllResources or PodsOnly.
	ResourceValidationMode ResourceValidationMode `config:"resourceValidationMode"`
	// AutomaticChildApproval is a boolean or TrustOwners; see ChildApproval.
	AutomaticChildApproval any `config:"automaticChildApproval"`
	// Approval bounds what AutomaticChildApproval builds on.
	Approval Age `config:"childApproval"`
	// AutomaticUnchangedApproval leaves updates alone that change no image.
	AutomaticUnchangedApproval bool `config:"automaticUnchangedApproval"`
	// OnInconclusive is Deny or LastKnownGood.
	OnInconclusive OnInconclusive `config:"onInconclusive"`
	// LastKnownGood bounds what OnInconclusive falls back to.
	LastKnownGood Age `config:"lastKnownGood"`
}

// NamespacedValidation is whether a label of a namespace says that its workloads
// are looked at.
type NamespacedValidation struct {
	Mode NamespacedMode `config:"mode"`
}

// NamespacedMode is what the label says.
type NamespacedMode string

// The modes of namespaced validation.
const (
	// NoLabel: the label means nothing.
	NoLabel NamespacedMode = ""
	// IgnoreLabeled leaves alone namespaces whose label is "ignore".
	IgnoreLabeled NamespacedMode = "ignore"
	// ValidateLabeled looks at namespaces only whose label is "validate".
	ValidateLabeled NamespacedMode = "validate"
)

// NamespaceLabel is the label of namespaced validation.
const NamespaceLabel = "securesystemsengineering.connaisseur/webhook"

// ResourceValidationMode is which objects are blocked and changed.
type ResourceValidationMode string

// The modes of resource validation.
const (
	AllResources ResourceValidationMode = "all"
	PodsOnly     ResourceValidationMode = "podsOnly"
)

// Approval is what approves an object that another one has made.
type Approval int

// The approvals.
const (
	// NoChildren: each is verified by itself.
	NoChildren Approval = iota
	// VerifiedChildren: its owner, and that the digest was verified.
	VerifiedChildren
	// TrustedOwners: its owner alone.
	TrustedOwners
)

// TrustOwners is the value of automaticChildApproval for TrustedOwners.
const TrustOwners = "trustOwners"

// OnInconclusive is what becomes of an image that cannot be checked just now.
type OnInconclusive string

// What becomes of it.
const (
	// Deny denies it.
	Deny OnInconclusive = "deny"
	// LastKnownGood admits the digest that was verified before.
	LastKnownGood OnInconclusive = "lastKnownGood"
)

// Age is how old something may be.
type Age struct {
	MaxAgeSeconds int `config:"maxAgeSeconds"`
}

// MaxAge is MaxAgeSeconds as a duration.
func (a Age) MaxAge() time.Duration { return time.Duration(a.MaxAgeSeconds) * time.Second }

// PodsOnly tells whether only Pods are blocked and changed.
func (s Settings) PodsOnly() bool { return s.ResourceValidationMode == PodsOnly }

// ChildApproval is what AutomaticChildApproval means. The zero value approves
// nobody.
func (s Settings) ChildApproval() Approval {
	switch s.AutomaticChildApproval {
	case true:
		return VerifiedChildren
	case TrustOwners:
		return TrustedOwners
	}
	return NoChildren
}

// Cache says how long outcomes are remembered.
type Cache struct {
	// ExpirySeconds is for how long a verification holds; 0 remembers nothing.
	ExpirySeconds int `config:"expirySeconds"`
	// CacheErrors remembers denials too, for a shorter time.
	CacheErrors bool `config:"cacheErrors"`
	// Shared is a cache that replicas share.
	Shared SharedCache `config:"shared"`
}

// SharedCache says where a cache is that replicas share.
type SharedCache struct {
	// URL is that of a Redis; empty for no shared cache.
	URL string `config:"url"`
	// SecretName is the Secret with password, authority and key.
	SecretName string `config:"secretName"`
	// InsecurePlaintext allows a connection without TLS.
	InsecurePlaintext bool `config:"insecurePlaintext"`
}

// Expiry is ExpirySeconds as a duration.
func (c Cache) Expiry() time.Duration { return time.Duration(c.ExpirySeconds) * time.Second }

// Webhook are the settings of the webhook configurations.
type Webhook struct {
	// FailurePolicy is Fail or, insecurely, Ignore.
	FailurePolicy FailurePolicy `config:"failurePolicy"`
	// TimeoutSeconds is how long the API server waits for an answer, 2 to 30.
	TimeoutSeconds int `config:"timeoutSeconds"`
}

// Limits bound what is read from a registry for one image.
type Limits struct {
	// Signatures is how many signatures an image may have.
	Signatures int `config:"signatures"`
	// ManifestBytes is the size of a manifest.
	ManifestBytes int64 `config:"manifestBytes"`
	// PayloadBytes is the size of what one signature signs, or of its bundle.
	PayloadBytes int64 `config:"payloadBytes"`
	// AttestationBytes is the size of an attestation that a rule demands.
	AttestationBytes int64 `config:"attestationBytes"`
}

// namespaceName is an RFC 1123 label. Globs are not among them: the webhook's
// namespaceSelector, which spares the API server the call, knows none.
var namespaceName = regexp.MustCompile(`\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z`)

// Default gives the settings that hold where nothing is configured.
func Default() Settings {
	return Settings{
		ExcludedNamespaces: []string{"kube-system"},
		Cache:              Cache{ExpirySeconds: 30, CacheErrors: true},
		Webhook:            Webhook{FailurePolicy: Fail, TimeoutSeconds: 10},

		ResourceValidationMode: AllResources,
		AutomaticChildApproval: true,
		Approval:               Age{24 * 60 * 60},
		OnInconclusive:         Deny,
		LastKnownGood:          Age{24 * 60 * 60},
		Limits:                 Limits{Signatures: 100, ManifestBytes: 1 << 20, PayloadBytes: 128 << 10, AttestationBytes: 2 << 20},
	}
}

// Parse reads settings; keys that are not set have their default.
func Parse(fields map[string]any) (Settings, strict.Errors) {
	settings := Default()
	if fields["excludedNamespaces"] != nil {
		settings.ExcludedNamespaces = nil // a list in the configuration replaces the default
	}
	if fields["automaticChildApproval"] != nil {
		settings.AutomaticChildApproval = nil // the default would have it a boolean
	}
	errs := strict.Decode("", fields, &settings)
	for i, namespace := range settings.ExcludedNamespaces {
		if !namespaceName.MatchString(namespace) {
			errs.Add(fmt.Sprintf("excludedNamespaces[%d]", i), "%q is not the name of a namespace (wildcards are not supported here)", namespace)
		}
	}
	inRange := func(key string, value, low, high int64) {
		if value < low || value > high {
			errs.Add(key, "is %d, but must be between %d and %d", value, low, high)
		}
	}
	inRange("cache.expirySeconds", int64(settings.Cache.ExpirySeconds), 0, 24*60*60)
	inRange("webhook.timeoutSeconds", int64(settings.Webhook.TimeoutSeconds), 2, 30)
	inRange("limits.signatures", int64(settings.Limits.Signatures), 1, 10_000)
	inRange("limits.manifestBytes", settings.Limits.ManifestBytes, 1<<10, 64<<20)
	inRange("limits.payloadBytes", settings.Limits.PayloadBytes, 1<<10, 64<<20)
	inRange("limits.attestationBytes", settings.Limits.AttestationBytes, 1<<10, 64<<20)
	inRange("childApproval.maxAgeSeconds", int64(settings.Approval.MaxAgeSeconds), 1, 7*24*60*60)
	inRange("lastKnownGood.maxAgeSeconds", int64(settings.LastKnownGood.MaxAgeSeconds), 1, 7*24*60*60)
	oneOf(&errs, "namespacedValidation.mode", settings.NamespacedValidation.Mode, NoLabel, IgnoreLabeled, ValidateLabeled)
	oneOf(&errs, "resourceValidationMode", settings.ResourceValidationMode, AllResources, PodsOnly)
	oneOf(&errs, "onInconclusive", settings.OnInconclusive, Deny, LastKnownGood)
	oneOf(&errs, "automaticChildApproval", settings.AutomaticChildApproval, any(true), false, TrustOwners)
	if p := settings.Webhook.FailurePolicy; p != Fail && p != Ignore {
		errs.Add("webhook.failurePolicy", "is %q, but must be Fail or Ignore", p)
	}
	return settings, errs
}

// oneOf makes sure that a setting has one of these values.
func oneOf[T comparable](errs *strict.Errors, key string, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	var known []string
	for _, a := range allowed {
		if text := fmt.Sprint(a); text != "" {
			known = append(known, text)
		}
	}
	hint := strict.Suggest(fmt.Sprint(value), known)
	if !strings.HasPrefix(hint, "; did") {
		hint = "" // which lists them again
	}
	errs.Add(key, "is %v, but must be %s%s", value, strings.Join(known, " or "), hint)
}

// Excludes tells whether a namespace is excluded.
func (s Settings) Excludes(namespace string) bool {
	return namespace != "" && slices.Contains(s.ExcludedNamespaces, namespace)
}
