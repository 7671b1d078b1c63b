package feature_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

func parse(t testing.TB, text string) (feature.Settings, strict.Errors) {
	t.Helper()
	raw, errs := strict.YAML("", text)
	if errs != nil {
		t.Fatal(errs)
	}
	fields, _ := raw.(map[string]any)
	return feature.Parse(fields)
}

// TestParse: a key that is not set has its default, whatever stands beside it.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       func(*feature.Settings)
	}{
		{"nothing is the default", "", func(*feature.Settings) {}},
		{"null is the default", "{cache: , excludedNamespaces: , webhook: {failurePolicy: }}", func(*feature.Settings) {}},
		{"a list replaces the default list", "excludedNamespaces: [a]", func(s *feature.Settings) { s.ExcludedNamespaces = []string{"a"} }},
		{"an empty list excludes nothing", "excludedNamespaces: []", func(s *feature.Settings) { s.ExcludedNamespaces = []string{} }},
		{"one key leaves its neighbours alone", "cache: {expirySeconds: 5}", func(s *feature.Settings) { s.Cache.ExpirySeconds = 5 }},
		{"0 seconds are not the default", "cache: {expirySeconds: 0}", func(s *feature.Settings) { s.Cache.ExpirySeconds = 0 }},
		{"false is not the default", "cache: {cacheErrors: false}", func(s *feature.Settings) { s.Cache.CacheErrors = false }},
		{"the failure policy can be Ignore", "webhook: {failurePolicy: Ignore}", func(s *feature.Settings) { s.Webhook.FailurePolicy = feature.Ignore }},
		{"detection mode", "detectionMode: true", func(s *feature.Settings) { s.DetectionMode = true }},
		{"a mode of namespaced validation", "namespacedValidation: {mode: validate}", func(s *feature.Settings) { s.NamespacedValidation.Mode = feature.ValidateLabeled }},
		{"Pods only", "resourceValidationMode: podsOnly", func(s *feature.Settings) { s.ResourceValidationMode = feature.PodsOnly }},
		{"no approval of children", "automaticChildApproval: false", func(s *feature.Settings) { s.AutomaticChildApproval = false }},
		{"trusted owners", "{automaticChildApproval: trustOwners, childApproval: {maxAgeSeconds: 60}}", func(s *feature.Settings) {
			s.AutomaticChildApproval, s.Approval.MaxAgeSeconds = feature.TrustOwners, 60
		}},
		{"unchanged objects", "automaticUnchangedApproval: true", func(s *feature.Settings) { s.AutomaticUnchangedApproval = true }},
		{"the last known good", "{onInconclusive: lastKnownGood, lastKnownGood: {maxAgeSeconds: 604800}}", func(s *feature.Settings) {
			s.OnInconclusive, s.LastKnownGood.MaxAgeSeconds = feature.LastKnownGood, 604800
		}},
		{"the least", "{cache: {expirySeconds: 0}, webhook: {timeoutSeconds: 2}, limits: {signatures: 1, manifestBytes: 1024, payloadBytes: 1024, attestationBytes: 1024}}", func(s *feature.Settings) {
			s.Cache.ExpirySeconds, s.Webhook.TimeoutSeconds, s.Limits = 0, 2, feature.Limits{Signatures: 1, ManifestBytes: 1 << 10, PayloadBytes: 1 << 10, AttestationBytes: 1 << 10}
		}},
		{"the most", "{cache: {expirySeconds: 86400}, webhook: {timeoutSeconds: 30}, limits: {signatures: 10000, manifestBytes: 67108864, payloadBytes: 67108864, attestationBytes: 67108864}}", func(s *feature.Settings) {
			s.Cache.ExpirySeconds, s.Webhook.TimeoutSeconds, s.Limits = 86400, 30, feature.Limits{Signatures: 10_000, ManifestBytes: 64 << 20, PayloadBytes: 64 << 20, AttestationBytes: 64 << 20}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, errs := parse(t, test.text)
			if errs != nil {
				t.Fatal(errs)
			}
			want := feature.Default()
			test.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDefaults: the defaults are strict, and what DESIGN §7 and §9 name.
func TestDefaults(t *testing.T) {
	t.Parallel()
	s := feature.Default()
	if s.Cache.Expiry() != 30*time.Second || s.Webhook.FailurePolicy != feature.Fail {
		t.Errorf("defaults: %+v", s)
	}
	if diff := cmp.Diff([]string{"kube-system"}, s.ExcludedNamespaces); diff != "" {
		t.Errorf("excluded namespaces:\n%s", diff)
	}
}

func TestWhoseChildrenAreApproved(t *testing.T) {
	t.Parallel()
	if got := (feature.Settings{}).ChildApproval(); got != feature.NoChildren {
		t.Errorf("the zero value approves: %d", got)
	}
	for value, want := range map[any]feature.Approval{true: feature.VerifiedChildren, false: feature.NoChildren, feature.TrustOwners: feature.TrustedOwners, "true": feature.NoChildren} {
		if got := (feature.Settings{AutomaticChildApproval: value}).ChildApproval(); got != want {
			t.Errorf("%v: %d, want %d", value, got, want)
		}
	}
}

// TestErrors covers row T25: nothing is silently enabled, and all that is
// wrong is said at once.
func TestErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"T25: an unknown key", "excludedNamespace: [a]", []string{`excludedNamespace: unknown key; did you mean "excludedNamespaces"?`}},
		{"T25: an unknown key further down", "webhook: {failPolicy: Ignore}", []string{`webhook.failPolicy: unknown key; did you mean "failurePolicy"?`}},
		{"T25: a failure policy in another case", "webhook: {failurePolicy: ignore}", []string{`webhook.failurePolicy: is "ignore", but must be Fail or Ignore`}},
		{"T25: an empty failure policy", `webhook: {failurePolicy: ""}`, []string{`webhook.failurePolicy: is "", but must be Fail or Ignore`}},
		{"T25: modes in another case", "{namespacedValidation: {mode: Ignore}, resourceValidationMode: podsonly, onInconclusive: Deny, automaticChildApproval: trustowners}", []string{
			`namespacedValidation.mode: is Ignore, but must be ignore or validate; did you mean "ignore"?`,
			`resourceValidationMode: is podsonly, but must be all or podsOnly; did you mean "podsOnly"?`,
			`onInconclusive: is Deny, but must be deny or lastKnownGood; did you mean "deny"?`,
			`automaticChildApproval: is trustowners, but must be true or false or trustOwners; did you mean "trustOwners"?`,
		}},
		{"T25: switches that are no booleans", "{detectionMode: yes, automaticUnchangedApproval: 1, automaticChildApproval: {on: true}}", []string{
			"detectionMode: must be true or false, not a string", "automaticUnchangedApproval: must be true or false, not a number",
			"automaticChildApproval: is map[on:true], but must be true or false or trustOwners",
		}},
		{"ages that are none", "{childApproval: {maxAgeSeconds: 0}, lastKnownGood: {maxAgeSeconds: 604801}}", []string{
			"childApproval.maxAgeSeconds: is 0, but must be between 1 and 604800", "lastKnownGood.maxAgeSeconds: is 604801, but must be between 1 and 604800",
		}},
		{"a wildcard", "excludedNamespaces: [a, kube-*]", []string{`excludedNamespaces[1]: "kube-*" is not the name of a namespace (wildcards are not supported here)`}},
		{"an empty name", `excludedNamespaces: [""]`, []string{`excludedNamespaces[0]: "" is not the name of a namespace (wildcards are not supported here)`}},
		{"a name that is null", `excludedNamespaces: [~]`, []string{`excludedNamespaces[0]: "" is not the name of a namespace (wildcards are not supported here)`}},
		{"a name of 64 characters", "excludedNamespaces: [" + strings.Repeat("a", 64) + "]", []string{`excludedNamespaces[0]: "` + strings.Repeat("a", 64) + `" is not the name of a namespace (wildcards are not supported here)`}},
		{"one name that is no list", "excludedNamespaces: kube-system", []string{"excludedNamespaces: must be a list, not a string"}},
		{"half a second", "cache: {expirySeconds: 0.5}", []string{"cache.expirySeconds: must be a whole number, not 0.5"}},
		{"a duration", "cache: {expirySeconds: 30s}", []string{"cache.expirySeconds: must be a number, not a string"}},
		{"too little of everything", "{cache: {expirySeconds: -1}, webhook: {timeoutSeconds: 1}, limits: {signatures: 0, manifestBytes: 1023, payloadBytes: -1, attestationBytes: 0}}", []string{
			"cache.expirySeconds: is -1, but must be between 0 and 86400", "webhook.timeoutSeconds: is 1, but must be between 2 and 30",
			"limits.signatures: is 0, but must be between 1 and 10000", "limits.manifestBytes: is 1023, but must be between 1024 and 67108864",
			"limits.payloadBytes: is -1, but must be between 1024 and 67108864",
			"limits.attestationBytes: is 0, but must be between 1024 and 67108864",
		}},
		{"too much of everything", "{cache: {expirySeconds: 86401}, webhook: {timeoutSeconds: 31}, limits: {signatures: 10001, manifestBytes: 67108865, payloadBytes: 67108865, attestationBytes: 67108865}}", []string{
			"cache.expirySeconds: is 86401, but must be between 0 and 86400", "webhook.timeoutSeconds: is 31, but must be between 2 and 30",
			"limits.signatures: is 10001, but must be between 1 and 10000", "limits.manifestBytes: is 67108865, but must be between 1024 and 67108864",
			"limits.payloadBytes: is 67108865, but must be between 1024 and 67108864",
			"limits.attestationBytes: is 67108865, but must be between 1024 and 67108864",
		}},
		{"errors of all sorts", "{unknown: 1, cache: {cacheErrors: no}, webhook: {timeoutSeconds: 99}}", []string{
			"unknown: unknown key; there is automaticChildApproval, automaticUnchangedApproval, cache, childApproval, detectionMode, excludedNamespaces, lastKnownGood, limits, namespacedValidation, onInconclusive, resourceValidationMode, webhook", "cache.cacheErrors: must be true or false, not a string",
			"webhook.timeoutSeconds: is 99, but must be between 2 and 30",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, errs := parse(t, test.text)
			var got []string
			for _, err := range errs {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExcludes(t *testing.T) {
	t.Parallel()
	s := feature.Settings{ExcludedNamespaces: []string{"kube-system", ""}}
	for namespace, want := range map[string]bool{"kube-system": true, "kube-system-evil": false, "kube": false, "": false, "KUBE-SYSTEM": false} {
		if got := s.Excludes(namespace); got != want {
			t.Errorf("%q is excluded: %t, want %t", namespace, got, want)
		}
	}
	if (feature.Settings{}).Excludes("kube-system") {
		t.Error("the zero value excludes a namespace")
	}
}

// TestParsingDoesNotShareTheDefaults: one configuration cannot change another.
func TestParsingDoesNotShareTheDefaults(t *testing.T) {
	t.Parallel()
	s, _ := parse(t, "")
	s.ExcludedNamespaces[0] = "evil"
	if diff := cmp.Diff([]string{"kube-system"}, feature.Default().ExcludedNamespaces); diff != "" {
		t.Errorf("the default changed:\n%s", diff)
	}
}
