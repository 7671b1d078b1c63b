package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

const denyAll = `
  validators: [{name: deny, type: static, approve: false}]
  policy: [{pattern: "*:*", validator: deny}]
`

func TestSettings(t *testing.T) {
	t.Parallel()
	features := func(data map[string]string) map[string]string {
		data["excludedNamespaces"] = "[]"
		return data
	}
	for name, row := range map[string]struct {
		file     string
		features map[string]string
		alerting map[string]string
		want     []string
	}{
		"what the chart sets": {
			file: "application:" + denyAll + `
  features:
    automaticUnchangedApproval: false
    automaticChildApproval: true
    detectionMode: false
    namespacedValidation: {mode: ignore}
    resourceValidationMode: all
    cache: {expirySeconds: 30, cacheErrors: true}
  logLevel: info
kubernetes: {webhook: {failurePolicy: Fail, reinvocationPolicy: Never}, deployment: {replicasCount: 3, tls: {}, envs: {}, imagePullSecrets: []}}
alerting:
`,
			features: features(map[string]string{
				"cache.expirySeconds": "30", "cache.cacheErrors": "true", "webhook.failurePolicy": "Fail", "automaticChildApproval": "true",
				"automaticUnchangedApproval": "false", "detectionMode": "false", "namespacedValidation.mode": "ignore", "resourceValidationMode": "all",
			}),
			want: []string{
				"stricter: application.features.automaticChildApproval: trustOwners in config-features is what it was",
				kubeSystem,
				"note: kubernetes: how the webhook is deployed is in config/",
			},
		},
		"what is not supported": {
			file: "application:" + denyAll + `
  features:
    automaticUnchangedApproval: true
    automaticChildApproval: "yes"
    detectionMode: true
    namespacedValidation: {enabled: true, mode: validate}
    resourceValidationMode: podsOnly
    cache: {expirySeconds: 90000}
    turbo: true
  profile: fast
kubernetes:
  webhook: {failurePolicy: ignore}
  deployment: {tls: {key: SECRET, cert: c}, envs: {AWS_SECRET_ACCESS_KEY: SECRET}, imagePullSecrets: [{name: a}]}
  serviceaccount: {annotations: {"eks.amazonaws.com/role-arn": b}}
other: {a: b}
`,
			features: features(map[string]string{
				"automaticUnchangedApproval": "true", "detectionMode": "true", "namespacedValidation.mode": "validate", "resourceValidationMode": "podsOnly",
			}),
			want: []string{
				"lost: other: is unknown to Connaisseur 3",
				"lost: application.profile: is unknown to Connaisseur 3",
				"lost: application.features.turbo: is unknown to Connaisseur 3",
				"lost: kubernetes.deployment.tls: connaisseur-webhook-certificate",
				"lost: kubernetes.deployment.envs: config/600-deployment.yaml",
				"lost: kubernetes.deployment.imagePullSecrets: config/200-serviceaccount.yaml",
				"lost: kubernetes.serviceaccount.annotations: config/200-serviceaccount.yaml",
				"lost: application.features.cache.expirySeconds: 86400",
				"lost: application.features.automaticChildApproval: is yes, but must be true or false or trustOwners",
				`lost: kubernetes.webhook.failurePolicy: must be Fail or Ignore`,
				kubeSystem,
				"note: kubernetes: how the webhook is deployed is in config/",
			},
		},
		"alerts": {
			file: "application:" + denyAll + `
alerting:
  clusterIdentifier: prod
  admitRequest:
    receivers:
    - {template: slack, receiverUrl: "https://hooks.slack.com/services/KEPT", customHeaders: ["Authorization: KEPT"], priority: 1}
    - {template: slack, receiverUrl: "https://SECRET", customHeaders: ["SECRET"], color: red}
  rejectRequest:
    receivers:
    - {template: ecs, receiverUrl: "https://a.example.com", failIfAlertSendingFails: true, payloadFields: {a: [b]}}
    - {template: keybase, receiverUrl: "SECRET", priority: high, failIfAlertSendingFails: true}
    - {template: keybase, receiverUrl: "${SECRET_URL}", failIfAlertSendingFails: true}
    - nothing
`,
			features: features(map[string]string{}),
			alerting: map[string]string{
				"clusterIdentifier": "prod",
				"admitRequest":      `receivers: [{template: slack, receiverUrl: "https://hooks.slack.com/services/KEPT", customHeaders: ["Authorization: KEPT"], priority: 1}]`,
				"rejectRequest":     `receivers: [{template: "configmap://connaisseur-alert-templates/ecs.json", receiverUrl: "https://a.example.com", failIfAlertSendingFails: true, payloadFields: {a: [b]}}]`,
			},
			want: []string{
				"lost: alerting.admitRequest.receivers[1].color: is unknown to Connaisseur 3",
				"lost: alerting.rejectRequest.receivers[0].template: ecs.json is not in this file…connaisseur-alert-templates…is denied",
				"lost: alerting.rejectRequest.receivers[2].receiverUrl: placeholder",
				"lost: alerting.rejectRequest.receivers[2]: is left out, and requests are no longer denied…failIfAlertSendingFails",
				"lost: alerting.rejectRequest.receivers[3]: must be a mapping",
				`lost: alerting.admitRequest.receivers[1].customHeaders[0]: must read "Name: value"…the receiver is left out`,
				"lost: alerting.rejectRequest.receivers[1].priority: must be a number…no longer denied",
				kubeSystem,
				"note: alerting.admitRequest.receivers[0].receiverUrl: is a secret…k8s://NAMESPACE/SECRET/KEY",
				"note: alerting.admitRequest.receivers[0].customHeaders[0]: is a secret…k8s://NAMESPACE/SECRET/KEY",
			},
		},
		"alerts of nobody": {file: "application:" + denyAll + "\nalerting: {admitRequest: {receivers: []}}", features: features(map[string]string{}), want: []string{kubeSystem}},
		"what Helm would take from the chart": {
			file:     "kubernetes: {redis: {pullPolicy: Always}}\nalerting: 1",
			features: features(map[string]string{}),
			want: []string{
				"lost: application.validators: helm get values --all",
				"lost: application.policy: helm get values --all",
				"lost: alerting: must be a mapping",
				kubeSystem,
				"note: kubernetes: without Redis",
			},
		},
		"sections that are none": {
			file:     "application: {validators: 1, policy: {}, features: []}\nkubernetes: x",
			features: features(map[string]string{}),
			want: []string{
				"lost: application.validators: must be a list",
				"lost: application.policy: must be a list",
				"lost: application.features: must be a mapping",
				"lost: kubernetes: must be a mapping",
				"note: application.policy: has no rule",
				kubeSystem,
			},
		},
		"what helm puts before the values":       {file: "COMPUTED VALUES:\napplication:" + denyAll, features: features(map[string]string{}), want: []string{kubeSystem}},
		"what the chart renders has no features": {file: strings.ReplaceAll(denyAll, "\n  ", "\n"), want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := migrated(t, row.file)
			wantFindings(t, result.Findings, row.want)
			var got map[string]string
			for _, cm := range result.ConfigMaps {
				if cm.Name == config.FeaturesName {
					got = cm.Data
				}
			}
			if diff := cmp.Diff(row.features, got); diff != "" {
				t.Errorf("config-features (-want +got):\n%s", diff)
			}
			for key, want := range row.alerting {
				wantYAML(t, key, entry(result, config.AlertingName, key), want)
			}
			said := strings.ReplaceAll(fmt.Sprint(result.Findings), "NAMESPACE/SECRET/KEY", "")
			if all := said + string(result.YAML()); strings.Contains(all, "SECRET") || strings.Contains(said, "KEPT") {
				t.Errorf("a secret is shown:\n%s", all)
			}
		})
	}
}

func TestPasswordsGoIntoSecrets(t *testing.T) {
	t.Parallel()
	result := migrated(t, keys(t, `
validators:
- {name: Docker_Hub, type: notaryv1, auth: {username: me, password: s3cret}, trustRoots: [{name: default, key: ALICE}]}
- {name: docker-hub, type: cosign, auth: {username: you, password: s3cret, registry: ghcr.io}, trustRoots: [{name: default, key: ALICE}]}
- {name: nowhere, type: cosign, auth: {username: she, password: s3cret}, trustRoots: [{name: default, key: ALICE}]}
- {name: "__", type: notaryv1, auth: {username: it, password: s3cret}, trustRoots: [{name: default, key: ALICE}]}
- {name: half, type: cosign, auth: {username: he}, trustRoots: [{name: default, key: ALICE}]}
policy: [{pattern: "*:*", validator: Docker_Hub}]
`))
	wantFindings(t, result.Findings, []string{
		"lost: validators[2].auth.registry: is missing…nowhere-auth",
		"lost: validators[4].auth: has a username without a password",
		"note: validators[0].auth: the Secret docker-hub-auth",
		"note: validators[1].auth: the Secret docker-hub-auth-cosign",
		"note: validators[3].auth: the Secret validator-auth",
	})
	got := map[string]string{}
	for _, s := range result.Secrets {
		got[s.Name] = string(s.Data[secretEntry])
	}
	want := map[string]string{
		"validator-auth":         "password: s3cret\nusername: it",
		"docker-hub-auth":        "password: s3cret\nusername: me",
		"docker-hub-auth-cosign": "password: s3cret\nregistry: ghcr.io\nusername: you",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Secrets (-want +got):\n%s", diff)
	}
	if text := entry(result, config.PolicyName, "validators") + fmt.Sprint(result.Findings); strings.Contains(text, "s3cret") {
		t.Errorf("the password is shown:\n%s", text)
	}
	loaded(t, result)
}

// Any of several trust roots suffices to notation in the original.
func TestNotation(t *testing.T) {
	t.Parallel()
	m, err := translate([]byte(keys(t, `
validators:
- {name: default, type: notation, trustRoots: [{name: default, cert: CERT}, {name: stamped, cert: CERT, tsCert: CERT}, {name: key, cert: ALICE}]}
policy:
- {pattern: "*:*", with: {trustRoot: "*", verificationLevel: permissive}}
- {pattern: "x.io/*:*", with: {verifyTimestamp: always, threshold: 2}}
- {pattern: "y.io/*:*", with: {trustRoot: stamped, verifyTimestamp: afterCertExpiry}}
`)), config.DefaultNamespace)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	for _, r := range m.rules {
		got = append(got, r.with)
	}
	want := []map[string]any{
		{"trustRoot": "*", "verificationLevel": "permissive", "threshold": 1},
		{},
		{"trustRoot": "stamped", "verifyTimestamp": "afterCertExpiry"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with (-want +got):\n%s", diff)
	}
	var paths []string
	for _, f := range m.findings {
		if f.Kind == Note {
			paths = append(paths, f.Path)
		}
	}
	if diff := cmp.Diff([]string{"policy[1].with.threshold", "policy[1].with.verifyTimestamp"}, paths); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}

func TestTheRenderedConfigMap(t *testing.T) {
	t.Parallel()
	inner := strings.ReplaceAll(denyAll, "\n  ", "\n")
	result := migrated(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: connaisseur-app-config}\ndata:\n  config.yaml: |"+strings.ReplaceAll(inner, "\n", "\n    "))
	if diff := cmp.Diff(migrated(t, inner), result); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNoConfiguration(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ text, want string }{
		"nothing":         {"", "it must be a mapping"},
		"a list":          {"[]", "it must be a mapping"},
		"other keys":      {"1: 2", "it must be a mapping"},
		"no YAML":         {"a: [", "is not valid YAML"},
		"a key twice":     {"policy: []\npolicy: []", "already defined"},
		"two documents":   {"policy: []\n---\n", "more than one YAML document"},
		"something else":  {"apiVersion: v1\nkind: Pod", "it is neither a values file of Connaisseur's chart (application, alerting, kubernetes) nor what the chart renders"},
		"no section":      {"application: []", "application: must be a mapping"},
		"too many rules":  {"policy: [" + strings.Repeat("1,", maxRules+1) + "]", "policy: has more than 1000 rules"},
		"too many bytes":  {strings.Repeat("#", MaxBytes+1), "it has more than 2097152 bytes"},
		"a broken object": {"kind: ConfigMap\ndata: {config.yaml: '['}", "is not valid YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Migrate([]byte(row.text), config.DefaultNamespace); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want %q", err, row.want)
			}
		})
	}
}

// A validator of the user's that is called as the one that stands for what is lost
// must not be taken for it.
func TestTheValidatorForWhatIsLostIsNobodyElse(t *testing.T) {
	t.Parallel()
	result := migrated(t, `
validators: [{name: not-migrated, type: static, approve: true}]
policy: [{pattern: "*:*", validator: nobody}]
`)
	wantYAML(t, "policy", entry(result, config.PolicyName, "policy"), `[{pattern: "*:*", validator: not-migrated-}]`)
	wantYAML(t, "validators", entry(result, config.PolicyName, "validators"), `[{name: not-migrated, type: static, approve: true}, {name: not-migrated-, type: static, approve: false}]`)
}

func TestYAMLReadsWell(t *testing.T) {
	t.Parallel()
	got := string(migrated(t, `
validators:
- {approve: false, type: static, name: deny}
- {trustRoots: [{key: "k8s://connaisseur/alice", name: default}], type: cosign, name: default, auth: {username: a, registry: ghcr.io, password: b}}
policy: [{with: {trustRoot: default, verifySCT: false}, pattern: "*:*"}, {validator: deny, pattern: x.io/*}]
`).YAML())
	want := `apiVersion: v1
kind: ConfigMap
metadata:
  name: config-policy
  namespace: connaisseur
  labels:
    app.kubernetes.io/name: connaisseur
data:
  validators: |
    - name: deny
      type: static
      approve: false
    - name: default
      type: cosign
      auth:
        secretName: default-auth
      trustRoots:
      - name: default
        key: k8s://connaisseur/alice
  policy: |
    - pattern: "*:*"
      with:
        trustRoot: default
        verifySCT: false
    - pattern: x.io/*
      validator: deny
    - pattern: "*/*x.io/*"
      validator: deny
    - pattern: "*x.io/*"
      validator: deny
---
apiVersion: v1
kind: Secret
metadata:
  name: default-auth
  namespace: connaisseur
  labels:
    app.kubernetes.io/name: connaisseur
type: Opaque
data:
  secret.yaml: cGFzc3dvcmQ6IGIKcmVnaXN0cnk6IGdoY3IuaW8KdXNlcm5hbWU6IGE=
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryFeatureHasOneLine(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, f := range features {
		seen[f.key]++
		if f.to == "" && f.lost == "" && f.stricter == "" {
			t.Errorf("%s: nothing is said", f.key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(seen)) {
		if seen[key] != 1 {
			t.Errorf("%s has %d lines", key, seen[key])
		}
	}
}
