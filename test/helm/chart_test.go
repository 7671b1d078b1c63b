//go:build helm

package helm

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

func TestReleaseHasTheObjectsOfConfig(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(release, "release.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(shipped(t), parse(t, string(text))); diff != "" {
		t.Errorf("-config/ +release.yaml:\n%s", diff)
	}
}

func TestReleaseIsTheSameAgain(t *testing.T) {
	again := t.TempDir()
	if err := writeRelease(again, image); err != nil {
		t.Fatal(err)
	}
	if out, err := command("diff", "-r", release, again); err != nil {
		t.Error(err, out)
	}
}

func TestReleaseIsForImagesWithTagOrDigest(t *testing.T) {
	const digest = "sha256:83edc2b8e9ffb1781a67bdab260a94674f802881838e20bba0f9a69d8cb40d70"
	for _, reference := range []string{"localhost:5000/webhook:v1", "registry.example.com/a/b@" + digest, "registry.example.com/a/b:v1@" + digest} {
		dir := t.TempDir()
		if err := writeRelease(dir, reference); err != nil {
			t.Error(err)
			continue
		}
		text, err := command(helm, "template", "connaisseur", filepath.Join(dir, "connaisseur"))
		if err != nil || !strings.Contains(text, "image: "+reference+"\n") {
			t.Errorf("%s is not the chart's image: %v", reference, err)
		}
	}
	for _, reference := range []string{"webhook:v1", "registry.example.com/webhook", "registry.example.com/a:b\n", "registry.example.com/a@sha256:12"} {
		if writeRelease(t.TempDir(), reference) == nil {
			t.Errorf("%q was taken", reference)
		}
	}
}

func TestLint(t *testing.T) {
	if out, err := command(helm, "lint", "--strict", chart()); err != nil {
		t.Error(err, out)
	}
}

// What differs: the namespace is Helm's, and a change of config-observability
// restarts the Pods.
func TestDefaultsAreTheObjectsOfConfig(t *testing.T) {
	for _, namespace := range []string{"connaisseur", "elsewhere"} {
		want := shipped(t)
		delete(want, "Namespace connaisseur")
		for _, o := range want {
			moved(o.Object, namespace)
		}
		got := rendered(t, namespace, "")
		unstructured.RemoveNestedField(got["Deployment webhook"].Object, "spec", "template", "metadata", "annotations")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -config/ +chart:\n%s", namespace, diff)
		}
	}
}

// moved puts an object, and what it refers to, into another namespace.
func moved(value any, namespace string) {
	switch v := value.(type) {
	case map[string]any:
		if v["namespace"] == "connaisseur" {
			v["namespace"] = namespace
		}
		if resources, _ := v["resources"].([]any); slices.Contains(resources, any("namespaces")) {
			for i, name := range v["resourceNames"].([]any) {
				if name == "connaisseur" {
					v["resourceNames"].([]any)[i] = namespace
				}
			}
		}
		for _, below := range v {
			moved(below, namespace)
		}
	case []any:
		for _, item := range v {
			moved(item, namespace)
		}
	}
}

// valueTests has for each value what it makes of which object.
var valueTests = []struct{ path, value, object, field, want string }{
	{"kubernetes.deployment.image.repository", "mirror.example.com/webhook", "Deployment webhook", "spec.template.spec.containers.0.image", `"mirror.example.com/webhook:v1"`},
	{"kubernetes.deployment.image.tag", "sha256:abc", "Deployment webhook", "spec.template.spec.containers.0.image", `"registry.example.com/team/webhook@sha256:abc"`},
	{"kubernetes.deployment.pullPolicy", "Always", "Deployment webhook", "spec.template.spec.containers.0.imagePullPolicy", `"Always"`},
	{"kubernetes.deployment.imagePullSecrets", "[{name: login}]", "Deployment webhook", "spec.template.spec.imagePullSecrets", `[{"name":"login"}]`},
	{"kubernetes.deployment.replicasCount", "3", "Deployment webhook", "spec.replicas", "3"},
	{"kubernetes.deployment.replicasCount", "1", "PodDisruptionBudget webhook", "spec.minAvailable", "0"},
	{"kubernetes.deployment.resources", "{limits: {memory: 1Gi}}", "Deployment webhook", "spec.template.spec.containers.0.resources.limits", `{"cpu":"2","memory":"1Gi"}`},
	{"kubernetes.deployment.goMemLimit", "900MiB", "Deployment webhook", "spec.template.spec.containers.0.env.7", `{"name":"GOMEMLIMIT","value":"900MiB"}`},
	{"kubernetes.deployment.nodeSelector", "{a: b}", "Deployment webhook", "spec.template.spec.nodeSelector", `{"a":"b"}`},
	{"kubernetes.deployment.tolerations", "[{key: a, operator: Exists}]", "Deployment webhook", "spec.template.spec.tolerations", `[{"key":"a","operator":"Exists"}]`},
	{"kubernetes.deployment.affinity", "{podAffinity: {}}", "Deployment webhook", "spec.template.spec.affinity", `{"podAffinity":{}}`},
	{"kubernetes.deployment.envs", "[{name: VAULT_TOKEN, valueFrom: {secretKeyRef: {name: vault, key: token}}}]", "Deployment webhook", "spec.template.spec.containers.0.env.8", `{"name":"VAULT_TOKEN","valueFrom":{"secretKeyRef":{"key":"token","name":"vault"}}}`},
	{"kubernetes.deployment.annotations", `{a: "1"}`, "Deployment webhook", "metadata.annotations", `{"a":"1"}`},
	{"kubernetes.deployment.podAnnotations", `{a: "1"}`, "Deployment webhook", "spec.template.metadata.annotations.a", `"1"`},
	{"kubernetes.deployment.podLabels", `{a: "1"}`, "Deployment webhook", "spec.template.metadata.labels.a", `"1"`},
	{"kubernetes.deployment.tls.source", "secret", "Secret connaisseur-webhook-certificate", "", "null"},
	{"kubernetes.deployment.tls", "{source: cert-manager, issuerRef: {name: ca, kind: ClusterIssuer}}", "Secret connaisseur-webhook-certificate", "", "null"},
	{"kubernetes.deployment.tls", "{source: cert-manager, issuerRef: {name: ca, kind: ClusterIssuer}}", "Certificate connaisseur-webhook", "spec", `{"dnsNames":["connaisseur-webhook.connaisseur.svc"],"issuerRef":{"kind":"ClusterIssuer","name":"ca"},"secretName":"connaisseur-webhook-certificate"}`},
	{"kubernetes.serviceaccount.annotations", "{a: b}", "ServiceAccount webhook", "metadata.annotations", `{"a":"b"}`},
	{"kubernetes.webhook.failurePolicy", "Ignore", "ConfigMap config-features", "data/webhook.failurePolicy", `"Ignore"`},
	{"kubernetes.webhook.timeoutSeconds", "5", "ConfigMap config-features", "data/webhook.timeoutSeconds", `"5"`},
	{"application.validators", "[{name: default, type: static, approve: true}]", "ConfigMap config-policy", "data.validators", `"- approve: true\n  name: default\n  type: static"`},
	{"application.policy", `[{pattern: "a/*:*"}]`, "ConfigMap config-policy", "data.policy", `"- pattern: a/*:*"`},
	{"application.registries", "[{host: a.example.com, insecure: true}]", "ConfigMap config-policy", "data.registries", `"- host: a.example.com\n  insecure: true"`},
	{"application.workloads", "[{group: a.example.com, version: v1, kind: A, paths: [spec]}]", "ConfigMap config-workloads", "data.workloads", `"- group: a.example.com\n  kind: A\n  paths:\n  - spec\n  version: v1"`},
	{"application.trustRoots", `{team.pub: "a\nb\n"}`, "ConfigMap config-trust-roots", "data/team.pub", `"a\nb\n"`},
	{"application.observability", "{metrics-protocol: none}", "ConfigMap config-observability", "data", `{"metrics-protocol":"none","tracing-protocol":"none"}`},
	{"application.logLevel", "debug", "ConfigMap config-logging", "data/loglevel.webhook", `"debug"`},
	{"application.features", "{cache: {expirySeconds: 0}, limits.manifestBytes: 2097152}", "ConfigMap config-features", "data/cache.expirySeconds", `"0"`},
	{"application.features", "{cache: {expirySeconds: 0}, limits.manifestBytes: 2097152}", "ConfigMap config-features", "data/limits.manifestBytes", `"2097152"`},
	{"application.features", "{excludedNamespaces: [], detectionMode: true}", "ConfigMap config-features", "data.excludedNamespaces", `"[]"`},
	{"application.features", "{namespacedValidation: {mode: ignore}}", "ConfigMap config-features", "data/namespacedValidation.mode", `"ignore"`},
	{"alerting.clusterIdentifier", "production", "ConfigMap config-alerting", "data.clusterIdentifier", `"production"`},
	{"alerting.admitRequest", "{receivers: []}", "ConfigMap config-alerting", "data.admitRequest", `"receivers: []"`},
	{"alerting.rejectRequest", "{receivers: [{template: slack}]}", "ConfigMap config-alerting", "data.rejectRequest", `"receivers:\n- template: slack"`},
	{"alerting.sinks", `[{name: a, url: "http://a"}]`, "ConfigMap config-alerting", "data.sinks", `"- name: a\n  url: http://a"`},
}

func TestEachValueHasItsEffect(t *testing.T) {
	tested := map[string]bool{}
	for _, row := range valueTests {
		tested[row.path] = true
		t.Run(row.path, func(t *testing.T) {
			o := rendered(t, "connaisseur", nested(row.path, row.value))[row.object]
			var got any
			if o != nil {
				got = at(o.Object, row.field)
			}
			if text, err := json.Marshal(got); err != nil || string(text) != row.want {
				t.Errorf("%s of %s is %s, want %s (%v)", row.field, row.object, text, row.want, err)
			}
		})
	}
	for _, path := range leaves("", schema(t)) {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(tested)), func(one string) bool { return path == one || strings.HasPrefix(path, one+".") }) {
			t.Errorf("%s is in the schema, and not tested", path)
		}
	}
}

// nested is a document with one value.
func nested(path, value string) string {
	parts := strings.Split(path, ".")
	return "{" + strings.Join(parts, ": {") + ": " + value + strings.Repeat("}", len(parts))
}

// at finds what stands at a path, whose parts are separated by "/" if it has one
// and else by ".".
func at(value any, path string) any {
	separator := "."
	if strings.Contains(path, "/") {
		separator = "/"
	}
	for part := range strings.SplitSeq(path, separator) {
		switch v := value.(type) {
		case map[string]any:
			value = v[part]
		case []any:
			var i int
			if _, err := fmt.Sscan(part, &i); err != nil || i >= len(v) {
				return nil
			}
			value = v[i]
		}
	}
	return value
}

func schema(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chart(), "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// leaves lists the paths that a schema knows.
func leaves(path string, of map[string]any) (paths []string) {
	properties, _ := of["properties"].(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		paths = append(paths, leaves(strings.TrimPrefix(path+"."+key, "."), properties[key].(map[string]any))...)
	}
	if len(properties) == 0 && path != "global" { // of which Helm itself makes an empty one
		return []string{path}
	}
	return paths
}

func TestSchemaKnowsTheFeatures(t *testing.T) {
	example, err := config.ReadFiles(root + "/config")
	if err != nil {
		t.Fatal(err)
	}
	var defaults map[string]string
	if err := yaml.UnmarshalStrict([]byte(example.ConfigMaps[config.FeaturesName].Data["_example"]), &defaults); err != nil {
		t.Fatal(err)
	}
	features := at(schema(t), "properties.application.properties.features").(map[string]any)
	nestedKeys, flat := map[string]bool{}, map[string]bool{}
	for key := range features["properties"].(map[string]any) {
		flat[key] = true
	}
	for _, path := range leaves("", features) {
		nestedKeys[path] = true
	}
	for key := range defaults {
		// As a key of its own, and below the others.
		if !strings.HasPrefix(key, "webhook.") && (!nestedKeys[key] || !flat[key]) {
			t.Errorf("the schema does not know %s", key)
		}
	}
}

func TestWhatHasNoEffectIsRefused(t *testing.T) {
	for _, values := range []string{
		"{replicas: 2}",
		"{kubernetes: {redis: {tls: {}}}}",
		"{kubernetes: {service: {port: 443}}}",
		"{kubernetes: {additionalLabels: {a: b}}}",
		"{kubernetes: {webhook: {reinvocationPolicy: Never}}}",
		"{kubernetes: {deployment: {replicaCount: 2}}}",
		"{kubernetes: {deployment: {image: {digest: a}}}}",
		"{kubernetes: {deployment: {securityContext: {runAsUser: 1}}}}",
		"{kubernetes: {deployment: {envs: {A: b}}}}",
		"{kubernetes: {deployment: {envs: [{name: GOMEMLIMIT, value: 1GiB}]}}}",
		"{kubernetes: {deployment: {podLabels: {app.kubernetes.io/name: a}}}}",
		"{kubernetes: {deployment: {tls: {key: a, cert: b}}}}",
		"{kubernetes: {deployment: {tls: {source: cert-manager}}}}",
		"{kubernetes: {deployment: {tls: {issuerRef: {name: a}}}}}",
		"{kubernetes: {serviceaccount: {name: a}}}",
		"{application: {logFormat: pretty}}",
		"{application: {policies: []}}",
		"{application: {trustRoots: {docker-official.pub: a}}}",
		"{application: {features: {detectionmode: true}}}",
		"{application: {features: {cache: {expiry: 30}}}}",
		"{application: {features: {webhook: {timeoutSeconds: 5}}}}",
		"{alerting: {receivers: []}}",
		"{alerting: {admitRequest: {receiver: []}}}",
	} {
		if _, err := render(t, "connaisseur", values); err == nil || !strings.Contains(err.Error(), "schema") {
			t.Errorf("%s: %v", values, err)
		}
	}
}

// The values of Connaisseur 3 make a configuration that loads: keys, validators and
// policy, features and alerts.
func TestValuesOfConnaisseur3Load(t *testing.T) {
	const values = `
application:
  validators:
    - {name: allow, type: static, approve: true}
    - name: default
      type: cosign
      trustRoots: [{name: default, key: "configmap://config-trust-roots/team.pub"}]
  policy:
    - {pattern: "registry.k8s.io/*:*", validator: allow}
    - {pattern: "registry.example.com/*:*", with: {trustRoot: default, verifyInTransparencyLog: false}}
  features:
    automaticUnchangedApproval: false
    automaticChildApproval: true
    detectionMode: false
    namespacedValidation: {mode: ignore}
    resourceValidationMode: all
    cache: {expirySeconds: 30, cacheErrors: true}
  logLevel: info
  trustRoots:
    team.pub: |
      -----BEGIN PUBLIC KEY-----
      MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEvtc/qpHtx7iUUj+rRHR99a8mnGni
      qiGkmUb9YpWWTS4YwlvwdmMDiGzcsHiDOYz6f88u2hCRF5GUCvyiZAKrsA==
      -----END PUBLIC KEY-----
kubernetes:
  webhook: {failurePolicy: Fail}
alerting:
  rejectRequest:
    receivers: [{template: slack, receiverUrl: "https://hooks.slack.com/services/a", priority: 4}]
`
	if n := len(loaded(t, values).Rules); n != 2 {
		t.Errorf("there are %d rules", n)
	}
}

func TestValuesOfTheReadmeLoad(t *testing.T) {
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "```yaml chart-values.yaml\n")
	values, _, found := strings.Cut(rest, "```")
	if n := len(loaded(t, values).Rules); !found || n != 2 {
		t.Errorf("there are %d rules", n)
	}
}

// loaded is the configuration that values make.
func loaded(t *testing.T, values string) *verify.Snapshot {
	t.Helper()
	text, err := render(t, "connaisseur", values)
	if err != nil {
		t.Fatal(err)
	}
	o, err := config.ReadFiles(valuesFile(t, text))
	if err != nil {
		t.Fatal(err)
	}
	built := config.NewBuilder(cache.New(cache.Options{})).Build(o)
	if err := built.Errors.Err(); err != nil {
		t.Fatal(err)
	}
	return built.Snapshot
}
