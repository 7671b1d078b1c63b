package config_test

import (
	"crypto"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// T25: each thing that is wrong is an error with its object and key path.
func TestT25WhatIsWrongIsSaidWithItsKeyPath(t *testing.T) {
	t.Parallel()
	key := publicKey(t)
	for name, c := range map[string]struct {
		objects config.Objects
		want    []string
	}{
		"config-policy is missing":        {objects(), []string{`config-policy: there is no such ConfigMap in namespace "connaisseur"`}},
		"a top-level key is misspelled":   {objects(configMap(config.PolicyName, entries{"polici": "[]"})), []string{`config-policy: polici: unknown key; did you mean "policy"?`}},
		"a list is a mapping":             {objects(policyOf(allowValidator, "pattern: x")), []string{"config-policy: policy"}},
		"it is not YAML":                  {objects(policyOf(allowValidator, "- {")), []string{"config-policy: policy: is not valid YAML"}},
		"a rule has an unknown key":       {objects(policyOf(allowValidator, allowAll+"  pattren: x\n")), []string{`config-policy: policy[0].pattren: unknown key; did you mean "pattern"?`}},
		"a rule has a key twice":          {objects(policyOf(allowValidator, allowAll+"  validator: allow\n")), []string{"config-policy: policy"}},
		"a rule names no validator there": {objects(policyOf("- name: alice\n  type: static\n  approve: false\n", "- pattern: '*'\n  validator: alcie\n")), []string{`config-policy: policy[0].validator: no validator named "alcie"; did you mean "alice"?`}},
		"the default validator is missing": {objects(policyOf(allowValidator, "- pattern: '*'\n")),
			[]string{`config-policy: policy[0].validator: no validator named "default"; there is allow`}},
		"detection is no boolean":             {objects(policyOf(allowValidator, allowAll+"  with: {detection: 'true'}\n")), []string{"config-policy: policy[0].with.detection: is true, but must be true or false"}},
		"an exception never ends":             {objects(withExceptions("- {pattern: 'a:*', reason: x}")), []string{"config-policy: exceptions[0].until: is missing; an exception must end"}},
		"an exception ends some day":          {objects(withExceptions("- {pattern: 'a:*', reason: x, until: tomorrow}")), []string{`config-policy: exceptions[0].until: "tomorrow" must be a time`}},
		"an exception has no reason":          {objects(withExceptions("- {pattern: 'a:*', until: '2026-01-31T18:00:00Z', reason: ' '}")), []string{"config-policy: exceptions[0].reason: is missing"}},
		"an exception is for nothing":         {objects(withExceptions("- {until: '2026-01-31T18:00:00Z', reason: x}")), []string{`config-policy: exceptions[0].pattern: "" is empty`}},
		"an exception's pattern is ambiguous": {objects(withExceptions("- {pattern: my*/app, until: '2026-01-31T18:00:00Z', reason: x}")), []string{`config-policy: exceptions[0].pattern: "my*/app" is ambiguous`}},
		"an exception has no namespaces":      {objects(withExceptions("- {pattern: 'a:*', namespaces: [], until: '2026-01-31T18:00:00Z', reason: x}")), []string{"config-policy: exceptions[0].namespaces: is empty"}},
		"an exception has an unknown key":     {objects(withExceptions("- {pattern: 'a:*', until: '2026-01-31T18:00:00Z', reason: x, validator: allow}")), []string{"config-policy: exceptions[0].validator: unknown key"}},
		"a pattern is missing":                {objects(policyOf(allowValidator, "- validator: allow\n")), []string{"config-policy: policy[0].pattern: \"\" is empty"}},
		"a pattern is ambiguous":              {objects(policyOf(allowValidator, "- pattern: my*/app\n  validator: allow\n")), []string{`config-policy: policy[0].pattern: "my*/app" is ambiguous`}},
		"a pattern cannot compile":            {objects(policyOf(allowValidator, "- pattern: 'docker.io/[a:1'\n  validator: allow\n")), []string{"config-policy: policy[0].pattern: "}},
		"a namespace is empty":                {objects(policyOf(allowValidator, "- pattern: '*'\n  validator: allow\n  namespaces: ['']\n")), []string{"config-policy: policy[0].namespaces[0]: "}},
		"a mode is unknown":                   {objects(policyOf(allowValidator, allowAll+"  with: {mode: mutat}\n")), []string{`config-policy: policy[0].with.mode: is mutat, but must be mutate, mutatePodsOnly or insecureValidateOnly; did you mean "mutate"?`}},
		"a mode is a number":                  {objects(policyOf(allowValidator, allowAll+"  with: {mode: 3}\n")), []string{"config-policy: policy[0].with.mode: is 3"}},
		"a mode is null":                      {objects(policyOf(allowValidator, allowAll+"  with: {mode: }\n")), []string{"config-policy: policy[0].with.mode: is <nil>"}},
		"a validator takes no such":           {objects(policyOf(allowValidator, allowAll+"  with: {threshold: 2}\n")), []string{"config-policy: policy[0].with.threshold: unknown key; a validator of type static, such as \"allow\", takes no such setting"}},
		"a validator has no name":             {objects(policyOf("- type: static\n  approve: true\n", "[]")), []string{"config-policy: validators[0].name: is missing"}},
		"a name is used twice":                {objects(policyOf(allowValidator+allowValidator, allowAll)), []string{`config-policy: validators[1].name: another validator is named "allow" already`}},
		"a type is misspelled":                {objects(policyOf("- name: allow\n  type: statc\n  approve: true\n", allowAll)), []string{`config-policy: validators[0].type: "statc" is no type of validator; did you mean "static"?`}},
		"a type is missing":                   {objects(policyOf("- name: allow\n  approve: true\n", allowAll)), []string{`config-policy: validators[0].type: "" is no type of validator`}},
		"a ConfigMap is dangling":             {objects(cosignPolicy("configmap://elsewhere/a.pub")), []string{"config-policy: validators[0].trustRoots[0].key: configmap://elsewhere/a.pub: ConfigMap elsewhere does not exist"}},
		"an entry is dangling": {objects(cosignPolicy("configmap://config-trust-roots/alcie.pub"), trustRoots(entries{"alice.pub": key})),
			[]string{`config-policy: validators[0].trustRoots[0].key: configmap://config-trust-roots/alcie.pub: entry alcie.pub of ConfigMap config-trust-roots does not exist; did you mean "alice.pub"?`}},
		"a key is no PEM": {objects(cosignPolicy("configmap://config-trust-roots/a.pub"), trustRoots(entries{"a.pub": "hello"})),
			[]string{"config-trust-roots: a.pub: is not a PEM public key"}},
		"a key is a private one": {objects(cosignPolicy("configmap://config-trust-roots/a.pub"), trustRoots(entries{"a.pub": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"})),
			[]string{"config-trust-roots: a.pub: is a private key"}},
		"T22: a key is a certificate": {objects(cosignPolicy("configmap://config-trust-roots/a.pub"), trustRoots(entries{"a.pub": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"})),
			[]string{"config-trust-roots: a.pub: is a certificate"}},
		"T21: a key is a file":           {objects(cosignPolicy("file:///etc/passwd")), []string{"config-policy: validators[0].trustRoots[0].key: \"file:///etc/passwd\" is not supported"}},
		"a registry has no host":         {objects(withRegistries("- insecure: true\n")), []string{"config-policy: registries[0].host: is missing"}},
		"a registry is no host":          {objects(withRegistries("- host: a b\n")), []string{"config-policy: registries[0]: "}},
		"a registry stands there twice":  {objects(withRegistries("- host: GHCR.io\n- host: ghcr.io:443\n  insecure: true\n")), []string{"config-policy: registries: "}},
		"a registry's certs are missing": {objects(withRegistries("- host: example.org\n  cert: configmap://config-trust-roots/ca.pem\n")), []string{"config-policy: registries[0].cert: configmap://config-trust-roots/ca.pem: ConfigMap config-trust-roots does not exist"}},
		"a registry's certs are a key":   {objects(withRegistries("- host: example.org\n  cert: configmap://config-trust-roots/ca.pem\n"), trustRoots(entries{"ca.pem": key})), []string{"config-policy: registries[0].cert: must hold PEM certificates and nothing else", "config-policy: registries[0]: "}},
		"a registry has an unknown key":  {objects(withRegistries("- host: example.org\n  insecur: true\n")), []string{`config-policy: registries[0].insecur: unknown key; did you mean "insecure"?`}},
		"everything at once": {objects(
			configMap(config.PolicyName, entries{
				"validators": "- name: a\n  type: nonsense\n- name: b\n  type: static\n- type: static\n  approve: true\n",
				"policy":     "- pattern: my*/x\n  validator: c\n- pattern: '*'\n  validator: a\n  with: {mode: x}\n",
				"registries": "- host: ''\n", "more": "",
			}), features(entries{"cache.expirySeconds": "-1", "nonsense": "1", "webhook": "{failurePolicy: Maybe}"})), []string{
			"config-policy: more: unknown key", `config-policy: validators[0].type: "nonsense"`, "config-policy: validators[1].approve: is missing",
			"config-policy: validators[2].name: is missing", "config-policy: policy[0].validator: no validator named \"c\"", "config-policy: policy[0].pattern: ",
			"config-policy: policy[1].with.mode: ", "config-policy: registries[0].host: is missing",
			"config-features: cache.expirySeconds: is -1", "config-features: nonsense: unknown key", "config-features: webhook.failurePolicy: is \"Maybe\"",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			built := builder().Build(c.objects)
			if built.Snapshot != nil {
				t.Error("the errors come with a snapshot")
			}
			wantTexts(t, built.Errors, c.want...)
		})
	}
}

func withRegistries(registries string) *corev1.ConfigMap {
	cm := allowing()
	cm.Data["registries"] = registries
	return cm
}

func withExceptions(exceptions string) *corev1.ConfigMap {
	cm := allowing()
	cm.Data["exceptions"] = exceptions
	return cm
}

// Break-glass: an exception takes effect where nothing else lets an image in.
func TestAnExceptionIsInTheSnapshot(t *testing.T) {
	t.Parallel()
	cm := policyOf("- {name: default, type: static, approve: false}", allowAllDenied)
	cm.Data["exceptions"] = "- {pattern: 'a.io/*:*', namespaces: [prod], until: '2999-01-31T18:00:00+01:00', reason: registry is down}"
	s := build(t, objects(cm))
	if len(s.Exceptions) != 1 || s.Exceptions[0].Reason != "registry is down" || s.Exceptions[0].Until.UTC().Hour() != 17 {
		t.Fatalf("%+v", s.Exceptions)
	}
	for reference, want := range map[string]verify.Tolerance{"a.io/x:1": verify.Excepted, "b.io/x:1": ""} {
		if v := decide(t, s, reference); v.Lenience != want || v.Outcome != verify.Denied {
			t.Errorf("%s: %q, %s", reference, v.Lenience, v.Outcome)
		}
	}
}

const allowAllDenied = "- pattern: '*:*'\n"

func TestAGoodConfigurationBecomesASnapshot(t *testing.T) {
	t.Parallel()
	s := build(t, objects(policyOf(
		allowValidator+"- name: default\n  type: static\n  approve: false\n",
		"- pattern: '*:*'\n- pattern: registry.k8s.io/*:*\n  validator: allow\n  with: {mode: insecureValidateOnly}\n"),
		configMap(config.TrustRootsName, entries{"_example": "anything at all: ["})))
	type rule struct {
		Text, Validator string
		Mode            verify.Mode
	}
	var got []rule
	for _, r := range s.Rules {
		got = append(got, rule{r.String(), r.ValidatorName, r.Mode})
	}
	want := []rule{{`policy[0] "*:*"`, "default", verify.Mutate}, {`policy[1] "registry.k8s.io/*:*"`, "allow", verify.InsecureValidateOnly}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(feature.Default(), s.Features); diff != "" {
		t.Errorf("the features are not the defaults:\n%s", diff)
	}
	if s.Namespace != "connaisseur" || len(s.Revision) != 12 {
		t.Errorf("got namespace %q, revision %q", s.Namespace, s.Revision)
	}
}

// T25: settings may be nested or dotted; nothing is out of range or ignored.
func TestT25Features(t *testing.T) {
	t.Parallel()
	set := func(change func(*feature.Settings)) feature.Settings {
		s := feature.Default()
		change(&s)
		return s
	}
	for name, c := range map[string]struct {
		data entries
		want feature.Settings
		errs []string
	}{
		"nothing is set":          {entries{}, feature.Default(), nil},
		"the example is no value": {entries{"_example": "cache.expirySeconds: 99"}, feature.Default(), nil},
		"empty values are unset":  {entries{"cache": "", "webhook.timeoutSeconds": "", "excludedNamespaces": ""}, feature.Default(), nil},
		"dotted keys":             {entries{"cache.expirySeconds": "7", "cache.cacheErrors": "false"}, set(func(s *feature.Settings) { s.Cache = feature.Cache{ExpirySeconds: 7} }), nil},
		"nested keys":             {entries{"cache": "expirySeconds: 7\ncacheErrors: false"}, set(func(s *feature.Settings) { s.Cache = feature.Cache{ExpirySeconds: 7} }), nil},
		"both of them":            {entries{"cache": "{expirySeconds: 7}", "cache.cacheErrors": "false"}, set(func(s *feature.Settings) { s.Cache = feature.Cache{ExpirySeconds: 7} }), nil},
		"a list replaces":         {entries{"excludedNamespaces": "[a, b]"}, set(func(s *feature.Settings) { s.ExcludedNamespaces = []string{"a", "b"} }), nil},
		"an empty list too":       {entries{"excludedNamespaces": "[]"}, set(func(s *feature.Settings) { s.ExcludedNamespaces = []string{} }), nil},
		"a setting stands twice":  {entries{"cache": "{expirySeconds: 7}", "cache.expirySeconds": "8"}, feature.Settings{}, []string{"config-features: cache.expirySeconds: is set twice"}},
		"a value and its parent":  {entries{"cache": "5", "cache.expirySeconds": "8"}, feature.Settings{}, []string{"config-features: cache.expirySeconds: cache has a value of its own already", "config-features: cache: "}},
		"a number is a text":      {entries{"cache.expirySeconds": "soon"}, feature.Settings{}, []string{"config-features: cache.expirySeconds: must be a number, not a string"}},
		"a number is below":       {entries{"webhook.timeoutSeconds": "1"}, feature.Settings{}, []string{"config-features: webhook.timeoutSeconds: is 1, but must be between 2 and 30"}},
		"a number is above":       {entries{"webhook.timeoutSeconds": "31"}, feature.Settings{}, []string{"config-features: webhook.timeoutSeconds: is 31, but must be between 2 and 30"}},
		"a limit is zero":         {entries{"limits.signatures": "0"}, feature.Settings{}, []string{"config-features: limits.signatures: is 0"}},
		"T1: a namespace is a glob, which the API server would not know": {entries{"excludedNamespaces": "['kube-*']"}, feature.Settings{},
			[]string{"config-features: excludedNamespaces[0]: \"kube-*\" is not the name of a namespace"}},
		"T23: failurePolicy is no policy": {entries{"webhook.failurePolicy": "ignore"}, feature.Settings{}, []string{`config-features: webhook.failurePolicy: is "ignore", but must be Fail or Ignore`}},
		"a key is misspelled":             {entries{"cache.expirySecond": "7"}, feature.Settings{}, []string{`config-features: cache.expirySecond: unknown key; did you mean "expirySeconds"?`}},
		"a value is not YAML":             {entries{"cache": "{"}, feature.Settings{}, []string{"config-features: cache: is not valid YAML"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			built := builder().Build(objects(allowing(), features(c.data)))
			wantTexts(t, built.Errors, c.errs...)
			if c.errs == nil && built.Snapshot != nil {
				if diff := cmp.Diff(c.want, built.Snapshot.Features); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// A value that kubectl stored as binary is read like any other.
func TestBinaryDataIsNotSilentlyIgnored(t *testing.T) {
	t.Parallel()
	cm := configMap(config.PolicyName, nil)
	cm.BinaryData = map[string][]byte{"validators": []byte(allowValidator), "policy": []byte(allowAll)}
	if s := build(t, objects(cm)); len(s.Rules) != 1 {
		t.Errorf("%d rules", len(s.Rules))
	}
}

// Two rules share a validator only if their settings are really the same.
func TestRulesWithAlikeLookingSettingsDoNotShareAValidator(t *testing.T) {
	t.Parallel()
	roots := ""
	for _, name := range []string{"a", "b", "a b"} {
		roots += fmt.Sprintf("  - name: %s\n    key: |\n%s\n", name, indent(publicKey(t), "      "))
	}
	with := "  with: {verifyInTransparencyLog: false, trustRoot: '*', required: "
	s := build(t, objects(policyOf("- name: default\n  type: cosign\n  trustRoots:\n"+roots,
		"- pattern: x.io/one:*\n"+with+"[a, b], threshold: 2}\n- pattern: x.io/two:*\n"+with+"[a b], threshold: 2}\n- pattern: x.io/three:*\n"+with+"[a, b], threshold: 2}\n")))
	if s.Rules[0].Validator.Fingerprint() == s.Rules[1].Validator.Fingerprint() {
		t.Error("a rule got the validator of another one")
	}
	if s.Rules[0].Validator != s.Rules[2].Validator {
		t.Error("rules with the same settings do not share a validator")
	}
	built := builder().Build(objects(policyOf("- name: default\n  type: cosign\n  trustRoots:\n"+roots,
		"- pattern: x.io/one:*\n"+with+"[a], threshold: 2}\n- pattern: x.io/two:*\n"+with+"[a], threshold: '2'}\n")))
	wantTexts(t, built.Errors, "config-policy: policy[1].with.threshold: must be a number, not a string")
}

func indent(text, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+by)
}

func TestRevisionsAreEqualExactlyIfWhatMattersIs(t *testing.T) {
	t.Parallel()
	key, other := publicKey(t), publicKey(t)
	policy := func() *corev1.ConfigMap { return cosignPolicy("configmap://config-trust-roots/a.pub") }
	base := build(t, objects(policy(), trustRoots(entries{"a.pub": key}), features(entries{}))).Revision
	for name, c := range map[string]struct {
		objects config.Objects
		same    bool
	}{
		"it is built again":                  {objects(policy(), trustRoots(entries{"a.pub": key}), features(entries{})), true},
		"an entry is there that nobody uses": {objects(policy(), trustRoots(entries{"a.pub": key, "b.pub": other}), features(entries{})), true},
		"another ConfigMap is there":         {objects(policy(), trustRoots(entries{"a.pub": key}), configMap("x", entries{"y": "z"})), true},
		"a Secret is there":                  {objects(policy(), trustRoots(entries{"a.pub": key}), secret("x", entries{"y": "z"})), true},
		"an example is edited":               {objects(policy(), trustRoots(entries{"a.pub": key}), features(entries{"_example": "x"})), true},
		"T3: the key's content changes":      {objects(policy(), trustRoots(entries{"a.pub": other})), false},
		"the policy changes":                 {objects(cosignPolicy("configmap://config-trust-roots/a.pub # x"), trustRoots(entries{"a.pub": key})), false},
		"a workload is added":                {objects(policy(), trustRoots(entries{"a.pub": key}), workloads(rollouts)), false},
		"no workload is added":               {objects(policy(), trustRoots(entries{"a.pub": key}), configMap(config.WorkloadsName, entries{})), true},
		"a feature changes":                  {objects(policy(), trustRoots(entries{"a.pub": key}), features(entries{"cache.expirySeconds": "31"})), false},
	} {
		if got := build(t, c.objects).Revision; (got == base) != c.same {
			t.Errorf("%s: %s, then %s", name, base, got)
		}
	}
}

// T3: what decides an outcome is part of the cache's key: the fingerprint.
func TestT3FingerprintsFollowTheConfiguration(t *testing.T) {
	t.Parallel()
	key, other := publicKey(t), publicKey(t)
	b := builder()
	fingerprint := func(change func(config.Objects)) string {
		o := objects(cosignPolicy("configmap://config-trust-roots/a.pub"), trustRoots(entries{"a.pub": key}), features(entries{}))
		change(o)
		built := b.Build(o)
		if len(built.Errors) > 0 {
			t.Fatal(built.Errors)
		}
		return built.Snapshot.Rules[0].Validator.Fingerprint()
	}
	base := fingerprint(func(config.Objects) {})
	for name, c := range map[string]struct {
		change func(config.Objects)
		same   bool
	}{
		"nothing":            {func(config.Objects) {}, true},
		"an unrelated entry": {func(o config.Objects) { o.ConfigMaps[config.TrustRootsName].Data["b.pub"] = other }, true},
		"how long to cache":  {func(o config.Objects) { o.ConfigMaps[config.FeaturesName].Data["cache.expirySeconds"] = "1" }, true},
		"the key":            {func(o config.Objects) { o.ConfigMaps[config.TrustRootsName].Data["a.pub"] = other }, false},
		"a mirror": {func(o config.Objects) {
			o.ConfigMaps[config.PolicyName].Data["registries"] = "- {host: x.io, mirror: y.io}"
		}, false},
		"an insecure registry": {func(o config.Objects) {
			o.ConfigMaps[config.PolicyName].Data["registries"] = "- {host: x.io, insecure: true}"
		}, false},
		"a limit": {func(o config.Objects) { o.ConfigMaps[config.FeaturesName].Data["limits.signatures"] = "3" }, false},
	} {
		if got := fingerprint(c.change); (got == base) != c.same {
			t.Errorf("%s: %q, then %q", name, base, got)
		}
	}
}

// Every weaker mode leaves a trace that names it.
func TestInsecureSettingsAreNamed(t *testing.T) {
	t.Parallel()
	cm := policyOf(allowValidator, "- pattern: a.io/*:*\n  validator: allow\n  with: {detection: true}\n")
	cm.Data["exceptions"] = "- {pattern: 'b.io/*:*', until: '2999-01-31T18:00:00Z', reason: registry is down}"
	for mode, want := range map[string]string{"ignore": "whoever may label a namespace", "validate": "anything may run in namespaces without the label"} {
		built := builder().Build(objects(cm, features(entries{
			"webhook.failurePolicy": "Ignore", "detectionMode": "true", "namespacedValidation.mode": mode, "resourceValidationMode": "podsOnly",
			"automaticChildApproval": "trustOwners", "onInconclusive": "lastKnownGood",
		})))
		wantTexts(t, built.Errors)
		wantTexts(t, built.Insecure,
			"config-policy: policy[0].with.detection: ",
			"config-policy: exceptions[0]: images of b.io/*:* are admitted until 2999-01-31T18:00:00Z, whatever is wrong with them: registry is down",
			"config-features: webhook.failurePolicy: Ignore admits everything",
			"config-features: detectionMode: nothing is denied",
			"config-features: namespacedValidation.mode: "+want,
			"config-features: resourceValidationMode: podsOnly lets in",
			"config-features: automaticChildApproval: trustOwners admits",
			"config-features: onInconclusive: lastKnownGood admits")
	}
	wantTexts(t, builder().Build(objects(allowing(), features(entries{"automaticUnchangedApproval": "true"}))).Insecure)
}

func TestWarningsAreAboutWhatIsWeakerThanItShouldBe(t *testing.T) {
	t.Parallel()
	cm := policyOf(allowValidator+"- name: unused\n  type: static\n  approve: false\n",
		allowAll+"- pattern: x.io/*:*\n  validator: allow\n  with: {mode: insecureValidateOnly}\n- pattern: x.io/*:*\n  validator: allow\n")
	cm.Data["registries"] = "- {host: x.io, insecure: true}\n"
	built := builder().Build(objects(cm, trustRoots(entries{"a.pub": publicKey(t)}), features(entries{"webhook.failurePolicy": "Ignore"})))
	wantTexts(t, built.Errors)
	wantTexts(t, built.Warnings,
		"config-policy: policy[0]: admits every image",
		"config-policy: policy[1].with.mode: what was verified is not pinned",
		"config-policy: policy[2].pattern: never applies: policy[1]",
		`config-policy: validators[1]: no rule uses the validator "unused"`,
		"config-policy: registries[0].insecure: whoever is on the way",
		"config-trust-roots: a.pub: is used nowhere",
		"config-features: webhook.failurePolicy: Ignore admits everything")
}

// Trust roots of one authority are warned of where a rule counts them.
func TestOverlappingTrustRootsAreWarnedOfWhereTheyCount(t *testing.T) {
	t.Parallel()
	ca := indent(notationtest.New(t, "Example CA").PEM(), "      ") + "\n"
	validators := "- name: default\n  type: notation\n  trustRoots:\n  - name: a\n    cert: |\n" + ca +
		"  - name: b\n    cert: |\n" + ca + indent(notationtest.New(t, "Other CA").PEM(), "      ") + "\n"
	for with, want := range map[string][]string{
		`{trustRoot: a}`:                 nil,
		`{trustRoot: "*", threshold: 1}`: nil,
		`{trustRoot: "*"}`:               {`config-policy: validators[0].trustRoots[1].cert: an authority of it is one of the trust root "a" too`},
	} {
		built := builder().Build(objects(policyOf(validators, "- pattern: \"*:*\"\n  with: "+with+"\n")))
		wantTexts(t, built.Errors)
		wantTexts(t, built.Warnings, want...)
	}
}

// signedImage is a registry with a signed image, and the key for it.
type signedImage struct {
	reg *registrytest.Registry
	img registrytest.Image
	key string

	signer crypto.Signer
}

func signed(t testing.TB) signedImage {
	t.Helper()
	reg, key := registrytest.New(t), registrytest.Key(t)
	img := reg.Push(t, "team/app:v1")
	reg.Sign(t, img, key)
	return signedImage{reg, img, string(registrytest.PublicPEM(t, key)), key}
}

func (s signedImage) registries() string {
	return fmt.Sprintf("- host: %q\n  insecure: true\n", s.reg.Host())
}

func decide(t testing.TB, s *verify.Snapshot, reference string) verify.ImageVerdict {
	t.Helper()
	req := verify.Request{Workload: &workload.Workload{Images: []workload.Image{{Reference: reference}}}, Namespace: "prod"}
	return verify.Engine{Now: time.Now}.Verify(t.Context(), s, req).Images[0]
}

// The whole way, from text to a verdict.
func TestAConfigurationVerifiesARealSignature(t *testing.T) {
	t.Parallel()
	s := signed(t)
	policy := cosignPolicy("configmap://config-trust-roots/a.pub")
	policy.Data["registries"] = s.registries()
	o := objects(policy, trustRoots(entries{"a.pub": s.key}))
	b := builder()
	first := b.Build(o)
	if got := decide(t, first.Snapshot, s.img.String()); got.Outcome != verify.Trusted || got.Digest != image.Digest(s.img.Digest) || got.Cached {
		t.Errorf("got %+v", got)
	}
	// T2: a tag that moves gets an unverified image nowhere.
	evil := s.reg.Push(t, "team/app:v1")
	if got := decide(t, first.Snapshot, s.img.String()); got.Outcome != verify.Trusted || got.Digest != image.Digest(s.img.Digest) || !got.Cached {
		t.Errorf("T2: got %+v", got)
	}
	if got := decide(t, first.Snapshot, evil.ByDigest()); got.Reason != validator.NoSignature {
		t.Errorf("T2: got %+v", got)
	}
	// A reload that changes nothing about it keeps the cache and the client.
	s.reg.Reset()
	o.ConfigMaps[config.FeaturesName] = features(entries{"webhook.timeoutSeconds": "9"})
	if got := decide(t, b.Build(o).Snapshot, s.img.String()); !got.Cached || s.reg.Requests().Total() != 0 {
		t.Errorf("after a reload: %+v, %v", got, s.reg.Requests())
	}
	// T3: one that takes the trust away does not.
	o.ConfigMaps[config.TrustRootsName] = trustRoots(entries{"a.pub": publicKey(t)})
	if got := decide(t, b.Build(o).Snapshot, s.img.ByDigest()); got.Outcome != verify.Denied || got.Reason != validator.UntrustedSigner {
		t.Errorf("T3: got %+v", got)
	}
}

// The connections to registries survive a reload: no second ping.
func TestTheRegistryClientIsReusedUntilItsSettingsChange(t *testing.T) {
	t.Parallel()
	s := signed(t)
	policy := cosignPolicy("configmap://config-trust-roots/a.pub")
	policy.Data["registries"] = s.registries()
	o := objects(policy, trustRoots(entries{"a.pub": s.key}), features(entries{"cache.expirySeconds": "0"}))
	b := builder()
	pings := func() int {
		s.reg.Reset()
		if got := decide(t, b.Build(o).Snapshot, s.img.String()); got.Outcome != verify.Trusted {
			t.Fatalf("got %+v", got)
		}
		return s.reg.Requests()[registrytest.Ping]
	}
	first := pings()
	o = objects(policy, trustRoots(entries{"a.pub": s.key + publicKey(t)}), features(entries{"cache.expirySeconds": "0"}))
	second := pings()
	o.ConfigMaps[config.FeaturesName] = features(entries{"cache.expirySeconds": "0", "limits.signatures": "5"})
	third := pings()
	if first == 0 || second != 0 || third == 0 {
		t.Errorf("want a ping, none, and one; got %d, %d, %d", first, second, third)
	}
}

// A Secret that is not there, or broken, is no error of the configuration.
func TestASecretThatIsMissingMakesOnlyItsValidatorUnavailableAndHeals(t *testing.T) {
	t.Parallel()
	s := signed(t)
	validators := fmt.Sprintf("- name: default\n  type: cosign\n  trustRoots:\n  - name: default\n    key: k8s://connaisseur/team\n"+
		"- name: inline\n  type: cosign\n  trustRoots:\n  - name: default\n    key: |\n%s\n", indent(s.key, "      "))
	policy := policyOf(validators, "- pattern: '*:*'\n  with: {verifyInTransparencyLog: false}\n- pattern: "+s.reg.Host()+"/team/other:*\n  validator: inline\n  with: {verifyInTransparencyLog: false}\n")
	policy.Data["registries"] = s.registries()
	other := s.reg.Push(t, "team/other:v1")
	s.reg.Sign(t, other, s.signer)
	for name, c := range map[string]struct {
		secret *corev1.Secret
		denied validator.Reason
	}{
		"it is missing":                 {nil, validator.TrustDataUnavailable},
		"its entry is missing":          {secret("team", entries{"x": "y"}), validator.TrustDataUnavailable},
		"its key is broken":             {secret("team", entries{"cosign.pub": "y"}), validator.TrustDataUnavailable},
		"it is there with another key":  {secret("team", entries{"cosign.pub": publicKey(t)}), validator.UntrustedSigner},
		"it is there with the same key": {secret("team", entries{"cosign.pub": s.key}), ""},
	} {
		store := config.NewStore(builder())
		store.Offer(objects(policy)) // without it, first
		before, err := store.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if c.secret != nil {
			store.Offer(objects(policy, c.secret))
		}
		after, err := store.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if (before.Revision != after.Revision) != (c.secret != nil && c.secret.Data["cosign.pub"] != nil) {
			t.Errorf("%s: revision %s, then %s", name, before.Revision, after.Revision)
		}
		if got := decide(t, after, s.img.String()); got.Reason != c.denied {
			t.Errorf("%s: want %q, got %s: %s", name, c.denied, got.Reason, got.Message)
		}
		if got := decide(t, after, other.String()); got.Outcome != verify.Trusted {
			t.Errorf("%s: what another validator verifies: %+v", name, got)
		}
	}
}

// A Secret of another namespace is not taken for one of ours of the same name,
// and is fetched like what is outside of the cluster.
func TestASecretOfAnotherNamespaceIsFetched(t *testing.T) {
	t.Parallel()
	ours, theirs := publicKey(t), publicKey(t)
	o := objects(cosignPolicy("k8s://team/key"), secret("key", entries{"cosign.pub": ours}))
	team := &outside{}
	without := build(t, with(o, team))
	team.set("k8s://team/key/cosign.pub", theirs)
	fetched := build(t, with(o, team))
	if without.Revision == fetched.Revision {
		t.Error("the key makes no difference")
	}
	if same := build(t, with(objects(cosignPolicy("k8s://team/key")), team)); same.Revision != fetched.Revision {
		t.Error("our own Secret makes a difference")
	}
	built := builder().Build(o) // where nobody is asked
	if err := built.Errors.Err(); err != nil {
		t.Errorf("it is an error: %v", err)
	}
}

// thousands is a policy of n rules for as many repositories.
func thousands(t testing.TB, n int) config.Objects {
	t.Helper()
	var rules strings.Builder
	for i := range n {
		fmt.Fprintf(&rules, "- pattern: registry%d.example.org/team%d/app:*\n  with: {verifyInTransparencyLog: false}\n", i%100, i)
	}
	cm := cosignPolicy("configmap://config-trust-roots/a.pub")
	cm.Data["policy"] = rules.String()
	return objects(cm, trustRoots(entries{"a.pub": publicKey(t)}))
}

func TestTenThousandRulesBuild(t *testing.T) {
	t.Parallel()
	s := build(t, thousands(t, 10_000))
	ref, err := image.Parse("registry99.example.org/team9999/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	if match, ok := s.Policy.Match(ref, "prod"); !ok || match.Index != 9999 || len(s.Rules) != 10_000 {
		t.Errorf("got %+v, %v of %d rules", match, ok, len(s.Rules))
	}
}

// It must take less than a second.
func BenchmarkBuild10000(b *testing.B) {
	o, builder := thousands(b, 10_000), builder()
	b.ReportAllocs()
	for b.Loop() {
		if built := builder.Build(o); len(built.Errors) > 0 {
			b.Fatal(built.Errors)
		}
	}
}
