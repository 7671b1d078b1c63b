package config_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"knative.dev/pkg/configmap"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

const healing = "; until this is right, the configuration before stays in force"

// DESIGN §8: what another object can still heal warns, since the order of
// applying decides; what is wrong with the edited object rejects.
func TestReviewsRejectWhatIsWrongAndWarnOfWhatOthersCanHeal(t *testing.T) {
	t.Parallel()
	key := publicKey(t)
	policy := cosignPolicy("configmap://config-trust-roots/a.pub")
	roots := trustRoots(entries{"a.pub": key})
	withExample := func(example, checksum string) *corev1.ConfigMap {
		cm := features(entries{"_example": example})
		cm.Annotations = map[string]string{configmap.ExampleChecksumAnnotation: checksum}
		return cm
	}
	for name, c := range map[string]struct {
		there                []any
		edited               *corev1.ConfigMap
		rejections, warnings []string
	}{
		"a good edit":                       {[]any{roots}, policy, nil, nil},
		"the policy before its trust roots": {nil, policy, nil, []string{"config-policy: validators[0].trustRoots[0].key: configmap://config-trust-roots/a.pub: ConfigMap config-trust-roots does not exist"}},
		"the trust roots before the policy": {nil, roots, nil, []string{"config-policy: there is no such ConfigMap", "config-trust-roots: a.pub: is used nowhere"}},
		"the trust roots after the policy":  {[]any{policy}, roots, nil, nil},
		"the policy refers to another entry": {[]any{trustRoots(entries{"b.pub": key})}, policy, nil, []string{
			"entry a.pub of ConfigMap config-trust-roots does not exist"}},
		"the trust roots lose an entry that the policy needs": {[]any{policy, roots}, trustRoots(entries{"b.pub": key}), nil, []string{
			"entry a.pub of ConfigMap config-trust-roots does not exist", "config-trust-roots: b.pub: is used nowhere"}},
		"a key gets broken":                           {[]any{policy, roots}, trustRoots(entries{"a.pub": "x"}), []string{"config-trust-roots: a.pub: is not a PEM public key"}, nil},
		"a key that nobody uses yet is":               {[]any{policy, roots}, trustRoots(entries{"a.pub": key, "b.pub": "x"}), []string{"config-trust-roots: b.pub: is not a PEM public key"}, nil},
		"a private key":                               {nil, trustRoots(entries{"b.pub": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"}), []string{"config-trust-roots: b.pub: is a private key"}, []string{"config-policy: there is no such"}},
		"JSON that is none":                           {[]any{policy, roots}, trustRoots(entries{"a.pub": key, "t.json": "{"}), []string{"config-trust-roots: t.json: is not valid JSON"}, nil},
		"a typing error in the policy":                {[]any{roots}, policyOf(allowValidator, "- pattern: '*'\n  validator: alow\n"), []string{`config-policy: policy[0].validator: no validator named "alow"; did you mean "allow"?`}, nil},
		"a good edit beside an object that is broken": {[]any{policy, roots, features(entries{"x": "y"})}, trustRoots(entries{"a.pub": key}), nil, []string{healing}},
		"a repair of one of two broken objects":       {[]any{policyOf("[", ""), roots, features(entries{"x": "y"})}, features(entries{}), nil, []string{"config-policy: validators: is not valid YAML"}},
		"a setting that weakens":                      {[]any{policy, roots}, features(entries{"webhook.failurePolicy": "Ignore"}), nil, []string{"config-features: webhook.failurePolicy: Ignore admits everything"}},
		"an identity with a glob": {nil, policyOf("- {name: default, type: cosign, trustRoots: [{name: default, keyless: {issuer: 'https://accounts.google.com', subject: '*@example.com'}}]}\n", "- pattern: '*/*/*'\n"), nil,
			[]string{"config-policy: validators[0].trustRoots[0].keyless.subject: is compared letter by letter"}},
		"a registry with a port":             {nil, policyOf(allowValidator, "- {pattern: '127.0.0.1:5000/a/*:*', validator: allow}\n- {pattern: 'example.com:5000/a', validator: allow}\n"), nil, nil},
		"a registry without a path":          {nil, policyOf(allowValidator, "- {pattern: 'example.com', validator: allow}\n"), nil, []string{`for a registry write "example.com/*:*"`}},
		"namespaces without the default one": {[]any{policy, roots}, features(entries{"excludedNamespaces": "[team]"}), nil, []string{"config-features: excludedNamespaces: lacks kube-system"}},
		"an identity that anybody has": {nil, policyOf("- {name: default, type: cosign, trustRoots: [{name: default, keyless: {issuer: 'https://accounts.google.com', subjectRegex: '.+'}}]}\n", "- pattern: '*/*/*'\n"), nil,
			[]string{"config-policy: validators[0].trustRoots[0].keyless: trusts whoever has a certificate"}},
		"a good workload":                   {[]any{policy, roots}, workloads(rollouts), nil, nil},
		"a workload beside a broken policy": {[]any{policyOf("[", ""), roots}, workloads(rollouts), nil, []string{"config-policy: validators: is not valid YAML"}},
		"a policy beside a broken workload": {[]any{roots, workloads("[{}]")}, policy, nil, []string{"config-workloads: workloads[0].group: is missing", healing, healing, healing}},
		"a workload with a path that leads anywhere": {[]any{policy, roots}, workloads("[{group: a.io, version: v1, kind: A, paths: [spec.a, spec..image]}]"),
			[]string{`config-workloads: workloads[0].paths[1]: "spec..image": has ..`}, nil},
		"an untouched example":             {[]any{policy, roots}, withExample("x: y", configmap.Checksum("x: y")), nil, nil},
		"an edited example":                {[]any{policy, roots}, withExample("x: z", configmap.Checksum("x: y")), []string{"config-features: _example: is documentation and was edited"}, nil},
		"a ConfigMap that is none of ours": {[]any{policy, roots}, configMap("somebody-elses", entries{"a": "b"}), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rejections, warnings := config.Review(builder(), objects(c.there...), c.edited)
			wantTexts(t, rejections, c.rejections...)
			wantTexts(t, warnings, c.warnings...)
		})
	}
}

func TestAReviewChangesNothing(t *testing.T) {
	t.Parallel()
	o := objects(allowing())
	before := build(t, o).Revision
	_, _ = config.Review(builder(), o, policyOf("[", "["))
	if after := build(t, o).Revision; after != before {
		t.Errorf("%s, then %s", before, after)
	}
	if rejections, _ := config.Review(builder(), config.Objects{}, allowing()); len(rejections) > 0 {
		t.Error(rejections)
	}
}
