package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

const denyAll = `[{pattern: "*:*", validator: deny}]`

func TestLint(t *testing.T) {
	t.Parallel()
	deny := "- {name: deny, type: static, approve: false}\n"
	key := string(registrytest.PublicPEM(t, registrytest.Key(t)))
	for name, row := range map[string]struct {
		policy, roots, features, workloads map[string]string
		args                               []string
		code                               int
		want                               []string
	}{
		"a sound configuration": {
			policy: map[string]string{"validators": deny, "policy": denyAll}, args: []string{"--strict"},
			want: []string{"The configuration is valid: revision ", "rules: 1. Warnings: 0."}},
		"a warning is no error": {
			policy: map[string]string{"validators": allowAndDeny, "policy": denyAll},
			want:   []string{`warning: config-policy: validators[0]: no rule uses the validator "allow"`, "Warnings: 1."}},
		"a warning counts if strict": {
			policy: map[string]string{"validators": allowAndDeny, "policy": denyAll}, args: []string{"--strict"}, code: exitDenied,
			want: []string{"warning: "}},
		"a key that is used nowhere": {
			policy: map[string]string{"validators": deny, "policy": denyAll}, roots: map[string]string{"bob.pub": key},
			want: []string{"warning: config-trust-roots: bob.pub: is used nowhere"}},
		"a broken key that is used nowhere": {
			policy: map[string]string{"validators": deny, "policy": denyAll}, roots: map[string]string{"bob.pub": "-----BEGIN"}, code: exitError,
			want: []string{"error: config-trust-roots: bob.pub: ", "warning: config-trust-roots: bob.pub: is used nowhere", "not valid: errors: 1, warnings: 1."}},
		"a broken key that is used": {
			policy: map[string]string{"validators": "- {name: default, type: cosign, trustRoots: [{name: default, key: \"configmap://config-trust-roots/bob.pub\"}]}",
				"policy": `[{pattern: "*:*", with: {verifyInTransparencyLog: false}}]`},
			roots: map[string]string{"bob.pub": "-----BEGIN"}, code: exitError,
			want: []string{"needed by validators[0].trustRoots[0].key", "errors: 1, "}},
		"a damaged key": {
			policy: map[string]string{"validators": "- {name: default, type: cosign, trustRoots: [{name: default, key: \"-----BEGIN PUBLIC KEY-----\\nAAAA\\n-----END PUBLIC KEY-----\\n\"}]}",
				"policy": `[{pattern: "*:*", with: {verifyInTransparencyLog: false}}]`},
			code: exitError,
			want: []string{"error: config-policy: validators[0].trustRoots[0].key: is not a PEM public key: what its block \"PUBLIC KEY\" holds is no public key of a kind that can be read", "errors: 1, "}},
		"a setting that a static validator has not": {
			policy: map[string]string{"validators": deny, "policy": `[{pattern: "*:*", validator: deny, with: {trustRoot: alice}}]`}, code: exitError,
			want: []string{`error: config-policy: policy[0].with.trustRoot: unknown key; a validator of type static, such as "deny", takes no such setting`, "errors: 1, "}},
		"several errors in several ConfigMaps": {
			policy:   map[string]string{"validators": deny, "policy": `[{pattern: "*:*", validator: dney}]`, "polcy": ""},
			features: map[string]string{"cache.expirySeconds": "-1", "chache": "1"}, code: exitError,
			want: []string{
				`error: config-policy: policy[0].validator: no validator named "dney"; did you mean "deny"?`,
				`error: config-policy: polcy: unknown key; did you mean "policy"?`,
				"error: config-features: cache.expirySeconds: is -1",
				"error: config-features: chache: unknown key",
				"errors: 4, "}},
		"a wrong workload": {
			policy: map[string]string{"validators": deny, "policy": denyAll}, workloads: map[string]string{"workloads": "[{group: apps, version: v1, kind: Deployment, paths: [spec]}]"}, code: exitError,
			want: []string{`error: config-workloads: workloads[0].group: "apps" is a group of Kubernetes itself`, "error: config-workloads: workloads[0].kind: Deployment.apps is looked at anyway", "errors: 2, "}},
		"no policy at all": {
			features: map[string]string{}, code: exitError,
			want: []string{"error: config-policy: there is no such ConfigMap"}},
		"weak verification": {
			policy: map[string]string{
				"validators": "- name: default\n  type: notation\n  insecureSkipRevocation: true\n  trustRoots: [{name: default, cert: \"configmap://config-trust-roots/ca.pem\"}]\n",
				"policy":     "[{pattern: a, with: {verificationLevel: permissive}}, {pattern: b, with: {verificationLevel: audit}}, {pattern: c}]",
			},
			roots: map[string]string{"ca.pem": notationtest.New(t, "CA").PEM()}, args: []string{"--strict"}, code: exitDenied,
			want: []string{
				"warning: config-policy: policy[0].with.verificationLevel: permissive is insecure",
				"warning: config-policy: policy[1].with.verificationLevel: audit is insecure",
				"warning: config-policy: validators[0].insecureSkipRevocation: ",
				"Warnings: 3.",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			for cm, data := range map[string]map[string]string{config.PolicyName: row.policy, config.TrustRootsName: row.roots, config.FeaturesName: row.features, config.WorkloadsName: row.workloads} {
				if data != nil {
					writeConfigMaps(t, folder, cm+".yaml", configMap(cm, data))
				}
			}
			got := call(t, append([]string{"lint", "--config", folder}, row.args...)...)
			if got.code != row.code || got.err != "" {
				t.Errorf("code %d, want %d\n%s%s", got.code, row.code, got.out, got.err)
			}
			wantText(t, "the output", got.out, row.want...)
		})
	}
}

func TestLintFindsAnEditedExample(t *testing.T) {
	t.Parallel()
	cm := configMap(config.PolicyName, map[string]string{"validators": "- {name: deny, type: static, approve: false}", "policy": denyAll, "_example": "edited"})
	cm.Annotations = map[string]string{"knative.dev/example-checksum": "00000000"}
	got := call(t, "lint", "--config", writeConfigMaps(t, t.TempDir(), "a.yaml", cm))
	if got.code != exitError || !strings.Contains(got.out, "error: config-policy: _example: ") {
		t.Errorf("code %d\n%s", got.code, got.out)
	}
}

func TestLintWritesJSON(t *testing.T) {
	t.Parallel()
	got := call(t, "lint", "-o", "json", "--config", policyFile(t, allowAndDeny, `[{pattern: "*:*", validator: deny, wiht: {}}]`))
	var problems []map[string]any
	if err := json.Unmarshal([]byte(got.out), &problems); err != nil {
		t.Fatalf("%v\n%s", err, got.out)
	}
	want := []map[string]any{
		{"severity": "error", "configMap": "config-policy", "path": "policy[0].wiht", "message": `unknown key; did you mean "with"?`},
		{"severity": "warning", "configMap": "config-policy", "path": "validators[0]", "message": `no rule uses the validator "allow"`},
	}
	if diff := cmp.Diff(want, problems); diff != "" {
		t.Error(diff)
	}
	got = call(t, "lint", "-o", "json", "--config", policyFile(t, "- {name: deny, type: static, approve: false}", denyAll))
	if got.code != exitOK || got.out != "[]\n" {
		t.Errorf("code %d, %s", got.code, got.out)
	}
}

func TestTheShippedConfigurationIsSound(t *testing.T) {
	t.Parallel()
	if got := call(t, "lint", "--strict", "--config", "../../config"); got.code != exitOK {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
}
