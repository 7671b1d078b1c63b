//go:build integration

package integration

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

func TestABrokenEditIsRefusedWithItsKey(t *testing.T) {
	t.Parallel()
	rules := func(more string) string { return base[policyName]["policy"] + more }
	validators := func(more string) string { return base[policyName]["validators"] + more }
	const cosign = "- name: more\n  type: cosign\n  trustRoots:\n    - name: default\n      key: "
	edits := []struct {
		name, configMap, key, value string
		want                        []string
	}{
		{"a rule with a validator that is not there", policyName, "policy", rules("- {pattern: 'x.io/*:*', validator: ourss}\n"),
			[]string{`policy[4].validator`, `no validator named "ourss"`, `did you mean "ours"?`}},
		{"a rule with an unknown key", policyName, "policy", rules("- {patern: 'x.io/*:*', validator: allow}\n"), []string{"policy[4].patern", `did you mean "pattern"?`}},
		{"a pattern that can be read in two ways", policyName, "policy", rules("- {pattern: 'my*/app', validator: allow}\n"), []string{"policy[4].pattern"}},
		{"a pattern that is none", policyName, "policy", rules("- {pattern: 'x.io/[a', validator: allow}\n"), []string{"policy[4].pattern"}},
		{"a setting that the validator does not know", policyName, "policy", rules("- {pattern: 'x.io/*:*', validator: ours, with: {verifyInTransparencyLog: false, treshold: 1}}\n"),
			[]string{"policy[4].with.treshold", "threshold"}},
		{"a trust root that is not there", policyName, "policy", rules("- {pattern: 'x.io/*:*', validator: ours, with: {verifyInTransparencyLog: false, trustRoot: alice}}\n"),
			[]string{"policy[4].with.trustRoot"}},
		{"a threshold that cannot be reached", policyName, "policy", rules("- {pattern: 'x.io/*:*', validator: ours, with: {verifyInTransparencyLog: false, trustRoot: '*', threshold: 2}}\n"),
			[]string{"policy[4].with.threshold"}},
		{"a mode that is none", policyName, "policy", rules("- {pattern: 'x.io/*:*', validator: allow, with: {mode: audit}}\n"), []string{"policy[4].with.mode"}},
		{"what is not YAML", policyName, "policy", "- pattern: [", []string{"policy"}},
		{"a policy that is no list", policyName, "policy", "pattern: '*'", []string{"policy"}},
		{"a validator of a type that is not there", policyName, "validators", validators("- {name: more, type: cosing}\n"), []string{"validators[3].type", `did you mean "cosign"?`}},
		{"two validators with one name", policyName, "validators", validators("- {name: ours, type: static, approve: true}\n"), []string{"validators[3].name"}},
		{"a validator without a trust root", policyName, "validators", validators("- {name: more, type: cosign}\n"), []string{"validators[3].trustRoots"}},
		{"a key in a file (T21)", policyName, "validators", validators(cosign + "/etc/passwd\n"), []string{"validators[3].trustRoots[0].key"}},
		{"a key at a URL (T21)", policyName, "validators", validators(cosign + "https://example.com/key.pub\n"), []string{"validators[3].trustRoots[0].key"}},
		{"a key in the environment (T21)", policyName, "validators", validators(cosign + "env://KEY\n"), []string{"validators[3].trustRoots[0].key"}},
		{"a key that is none", policyName, "validators", validators(cosign + "\"-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\"\n"), []string{"validators[3].trustRoots[0].key"}},
		{"a registry with an unknown key", policyName, "registries", "- {host: x.io, insecur: true}\n", []string{"registries[0].insecur", `did you mean "insecure"?`}},
		{"a registry without a host", policyName, "registries", "- {insecure: true}\n", []string{"registries[0].host"}},
		{"an unknown entry", policyName, "polices", "[]", []string{"polices", `did you mean "policy"?`}},
		{"a timeout that Kubernetes does not know", featuresName, "webhook.timeoutSeconds", "31", []string{"webhook.timeoutSeconds", "between 2 and 30"}},
		{"a timeout that is no number", featuresName, "webhook.timeoutSeconds", "soon", []string{"webhook.timeoutSeconds"}},
		{"a failure policy that is none", featuresName, "webhook.failurePolicy", "Warn", []string{"webhook.failurePolicy", "Fail or Ignore"}},
		{"a namespace with a wildcard", featuresName, "excludedNamespaces", "[kube-system, 'kube-*']", []string{"excludedNamespaces[1]"}},
		{"an unknown feature", featuresName, "cache.expirySecond", "1", []string{"cache.expirySecond", `did you mean "expirySeconds"?`}},
		{"a broken public key", trustRootsName, "ours.pub", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", []string{"ours.pub"}},
		{"a private key", trustRootsName, "alice.key", privatePEM, []string{"alice.key", "private key"}},
	}
	for _, edit := range edits {
		t.Run(edit.name, func(t *testing.T) {
			t.Parallel()
			data := base.set(edit.configMap, edit.key, edit.value)[edit.configMap]
			err := writeConfigMap(t.Context(), cluster, edit.configMap, data, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `"config.connaisseur.`) {
				t.Fatalf("it was not refused: %v", err)
			}
			if lacking := lacks(err.Error(), edit.want); lacking != "" {
				t.Errorf("%q is not in %v", lacking, err)
			}
		})
	}
}

// privatePEM only looks like a key.
const privatePEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"

func TestAnEditThatIsProbablyNotMeantWarns(t *testing.T) {
	t.Parallel()
	edits := []struct {
		name, configMap, key, value string
		want                        []string
	}{
		{"a rule that admits everything", policyName, "policy", "- {pattern: '*:*', validator: allow}\n", []string{"policy[0]", "admits every image"}},
		{"a rule that pins nothing", policyName, "policy", base[policyName]["policy"] + "- {pattern: 'x.io/*:*', validator: ours, with: {verifyInTransparencyLog: false, mode: insecureValidateOnly}}\n",
			[]string{"policy[4].with.mode"}},
		{"a rule that another has made idle", policyName, "policy", base[policyName]["policy"] + "- {pattern: '*:*', validator: allow}\n", []string{"policy[4].pattern", "never applies"}},
		{"a webhook that admits what it is not asked about", featuresName, "webhook.failurePolicy", "Ignore", []string{"webhook.failurePolicy"}},
		{"a key that is used nowhere", trustRootsName, "alice.pub", string(registrytest.PublicPEM(t, stranger)), []string{"alice.pub", "is used nowhere"}},
	}
	for _, edit := range edits {
		t.Run(edit.name, func(t *testing.T) {
			t.Parallel()
			client, heard := attentive(t)
			data := base.set(edit.configMap, edit.key, edit.value)[edit.configMap]
			if err := writeConfigMap(t.Context(), client, edit.configMap, data, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
				t.Fatal(err)
			}
			if len(heard.about(edit.want...)) == 0 {
				t.Errorf("no warning with %q, but: %q", edit.want, heard.texts)
			}
		})
	}
}
