package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

func TestVerifyEndsWithACodeThatSumsUp(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	const allowed = "registry.k8s.io/pause:3.9"
	for name, row := range map[string]struct {
		args []string
		code int
	}{
		"a signed image is trusted":                        {[]string{l.signed.String()}, exitOK},
		"an image that needs no signature is allowed":      {[]string{allowed}, exitOK},
		"trusted and allowed together are good":            {[]string{l.signed.String(), allowed}, exitOK},
		"an unsigned image is denied":                      {[]string{l.unsigned.String()}, exitDenied},
		"one denied among others denies":                   {[]string{l.signed.String(), l.unsigned.String(), allowed}, exitDenied},
		"an image that the policy denies":                  {[]string{"evil.example.com/app:v1"}, exitDenied},
		"a reference that is none":                         {[]string{"not an image"}, exitDenied},
		"an image that is not there":                       {[]string{l.registry.Host() + "/team/none:v1"}, exitDenied},
		"a registry that is down is inconclusive":          {[]string{unreachable}, exitInconclusive},
		"inconclusive beside trusted is inconclusive":      {[]string{l.signed.String(), unreachable}, exitInconclusive},
		"denied outweighs inconclusive":                    {[]string{unreachable, l.unsigned.String()}, exitDenied},
		"an excluded namespace is skipped":                 {[]string{l.unsigned.String(), "-n", "kube-system"}, exitOK},
		"a rule for a namespace applies there":             {[]string{"redis:8", "-n", "prod-eu"}, exitOK},
		"a rule for a namespace does not apply elsewhere":  {[]string{"redis:8", "-n", "test"}, exitDenied},
		"a signed image is trusted as of a time":           {[]string{l.signed.String(), "--at", "2020-02-29T12:00:00+01:00"}, exitOK},
		"a signed image is trusted as of a date":           {[]string{l.signed.String(), "--at", "2020-02-29"}, exitOK},
		"a time that is none is an error":                  {[]string{l.signed.String(), "--at", "yesterday"}, exitError},
		"an output format that is none is an error":        {[]string{l.signed.String(), "-o", "xml"}, exitError},
		"no time at all is an error":                       {[]string{l.signed.String(), "--timeout", "0s"}, exitError},
		"no image is an error":                             {nil, exitError},
		"a dash without lines is an error":                 {[]string{"-"}, exitError},
		"a tag that stands for the digest beside it":       {[]string{l.signed.Pinned()}, exitOK},
		"a signed image by its digest":                     {[]string{l.signed.ByDigest()}, exitOK},
		"a configuration that is not there is an error":    {[]string{l.signed.String(), "--config", "/nowhere"}, exitError},
		"an option that there is not is an error":          {[]string{l.signed.String(), "--force"}, exitError},
		"the help is no error":                             {[]string{"--help"}, exitOK},
		"the same image twice is two results, none denied": {[]string{l.signed.String(), l.signed.String()}, exitOK},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, append([]string{"verify", "--config", l.config}, row.args...)...)
			if got.code != row.code {
				t.Errorf("code %d, want %d\n%s%s", got.code, row.code, got.out, got.err)
			}
			if complained := strings.HasPrefix(got.err, "error: "); complained != (row.code == exitError) {
				t.Errorf("standard error: %s", got.err)
			}
		})
	}
}

func TestVerifyWritesJSON(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	images := []string{unreachable, l.signed.String(), "registry.k8s.io/pause:3.9", l.unsigned.String()}
	got := call(t, append([]string{"verify", "-o", "json", "--config", l.config}, images...)...)
	var results []map[string]any
	if err := json.Unmarshal([]byte(got.out), &results); err != nil {
		t.Fatalf("%v\n%s", err, got.out)
	}
	want := []map[string]any{
		{"image": unreachable, "outcome": "Inconclusive", "allowed": false, "reason": "RegistryUnavailable",
			"rule": `policy[3] "127.0.0.1:1/*:*"`, "validator": "default"},
		{"image": images[1], "outcome": "Trusted", "allowed": true, "digest": l.signed.Digest,
			"rule": `policy[2] "` + l.registry.Host() + `/*:*"`, "validator": "default", "trustRoots": []any{"default"}},
		{"image": images[2], "outcome": "Allowed", "allowed": true, "rule": `policy[1] "registry.k8s.io/*:*"`, "validator": "allow"},
		{"image": images[3], "outcome": "Denied", "allowed": false, "reason": "NoSignature",
			"rule": `policy[2] "` + l.registry.Host() + `/*:*"`, "validator": "default"},
	}
	for _, r := range results {
		if r["message"] == "" {
			t.Errorf("no message: %v", r)
		}
		if signers := fmt.Sprint(r["signers"]); r["outcome"] == "Trusted" && !strings.HasPrefix(signers, "[default (key ") {
			t.Errorf("signed by %s", signers)
		}
		delete(r, "message")
		delete(r, "signers")
	}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyWritesYAMLWithTheKeysOfJSON(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	got := call(t, "verify", "-o", "yaml", "--config", l.config, l.signed.String())
	var results []map[string]any
	if err := yaml.Unmarshal([]byte(got.out), &results); err != nil || len(results) != 1 {
		t.Fatalf("%v\n%s", err, got.out)
	}
	want := []string{"allowed", "digest", "image", "message", "outcome", "rule", "signers", "trustRoots", "validator"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(results[0]))); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyWritesATable(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	got := call(t, "verify", "--config", l.config, l.signed.String(), l.unsigned.String(), "evil\x1b[2Jimage")
	lines := strings.Split(got.out, "\n")
	if len(lines) != 8 {
		t.Fatalf("%d lines:\n%s", len(lines), got.out)
	}
	column := strings.Index(lines[0], "OUTCOME")
	for i, outcome := range map[int]string{1: "Trusted", 3: "Denied", 5: "Denied"} {
		if len(lines[i]) < column || !strings.Contains(lines[i], outcome+" ") {
			t.Errorf("line %d: %s", i, lines[i])
		}
	}
	wantText(t, "the line below", lines[2], "    signed by default (key ")
	wantText(t, "the line below", lines[4], "    Unable to find signed digest for image "+l.unsigned.String())
	if strings.Contains(got.out, "\x1b") {
		t.Errorf("an image steers the terminal: %q", got.out)
	}
}

func TestVerifyTakesImagesFromStandardInput(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	in := strings.NewReader("# images\n\n" + l.signed.String() + "\n  registry.k8s.io/pause:3.9 \n")
	got := callWith(t, environment{in: in}, "verify", "--config", l.config, "nginx:v1", "-")
	if lines := strings.Count(got.out, "\n"); got.code != exitOK || lines != 5 {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
}

func TestVerifyGivesUpInTime(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.registry.Inject(registrytest.Fault{Answer: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }})
	start := time.Now()
	got := call(t, "verify", "--config", l.config, "--timeout", "200ms", "-o", "json", l.signed.String())
	if took := time.Since(start); got.code != exitInconclusive || took > 10*time.Second {
		t.Errorf("code %d after %s\n%s", got.code, took, got.out)
	}
	wantText(t, "the output", got.out, `"reason": "Timeout"`)
}

func TestVerifySaysWhatIsWrongWithTheConfiguration(t *testing.T) {
	t.Parallel()
	trustRoot := func(key string) string {
		return "- name: default\n  type: cosign\n  trustRoots: [{name: default, key: \"" + key + "\"}]\n"
	}
	for name, row := range map[string]struct {
		validators, policy string
		want               string
	}{
		"an unknown key, with its path": {allowAndDeny, `[{pattern: "*:*", validater: allow}]`,
			`error: config-policy: policy[0].validater: unknown key; did you mean "validator"?`},
		"a name that leads nowhere, with the nearest": {allowAndDeny, `[{pattern: "*:*", validator: alow}]`,
			`error: config-policy: policy[0].validator: no validator named "alow"; did you mean "allow"?`},
		"a pattern that cannot be compiled": {allowAndDeny, `[{pattern: "my*/app", validator: allow}]`,
			`policy[0].pattern: "my*/app" is ambiguous`},
		"a key that is not one": {trustRoot(`-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n`), `[{pattern: "*:*", with: {verifyInTransparencyLog: false}}]`,
			`error: config-policy: validators[0].trustRoots[0].key: `},
		"a key in a ConfigMap that is not there": {trustRoot(`configmap://config-trust-roots/alice.pub`), `[{pattern: "*:*", with: {verifyInTransparencyLog: false}}]`,
			`config-trust-roots does not exist`},
		"what is no YAML": {allowAndDeny, "[", `error: config-policy: policy: is not valid YAML`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := policyFile(t, row.validators, row.policy)
			for _, command := range [][]string{{"verify", "nginx"}, {"explain", "nginx"}} {
				got := call(t, append(command, "--config", path)...)
				if got.code != exitError || got.out != "" || strings.Contains(got.err, "--help") {
					t.Errorf("%s: code %d\n%s%s", command, got.code, got.out, got.err)
				}
				wantText(t, command[0]+"'s standard error", got.err, row.want)
			}
		})
	}
}

func TestVerifyReadsAFolder(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	folder := t.TempDir()
	key := registrytest.PublicPEM(t, l.key)
	writeConfigMaps(t, folder, "300-trust-roots.yaml", configMap(config.TrustRootsName, map[string]string{"alice.pub": string(key)}))
	writeConfigMaps(t, folder, "300-policy.yaml", configMap(config.PolicyName, map[string]string{
		"validators": "- {name: default, type: cosign, trustRoots: [{name: default, key: \"configmap://config-trust-roots/alice.pub\"}]}",
		"policy":     `[{pattern: "*:*", with: {verifyInTransparencyLog: false}}]`,
		"registries": `[{host: "` + l.registry.Host() + `", insecure: true}]`,
	}))
	writeFile(t, folder, "README.md", "# no: [YAML")
	got := call(t, "verify", "--config", folder, l.signed.String())
	if got.code != exitOK {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
}

// A Secret of another namespace is not the one that the webhook would read.
func TestVerifyLooksAtOneNamespaceOfTheFiles(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for namespace, code := range map[string]int{"connaisseur": exitOK, "other": exitInconclusive} {
		folder := t.TempDir()
		writeConfigMaps(t, folder, "policy.yaml", configMap(config.PolicyName, map[string]string{
			"validators": "- {name: default, type: cosign, trustRoots: [{name: default, key: \"k8s://connaisseur/alice\"}]}",
			"policy":     `[{pattern: "*:*", with: {verifyInTransparencyLog: false}}]`,
			"registries": `[{host: "` + l.registry.Host() + `", insecure: true}]`,
		}))
		key, err := json.Marshal(string(registrytest.PublicPEM(t, l.key)))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, folder, "secret.yaml", fmt.Sprintf(`
{apiVersion: v1, kind: Secret, metadata: {name: alice, namespace: %[1]s}, stringData: {cosign.pub: %[2]s}}
---
{apiVersion: v1, kind: Secret, metadata: {name: alice, namespace: third}}
`, namespace, key))
		got := call(t, "verify", "--config", folder, "-o", "json", l.signed.String())
		if got.code != code {
			t.Errorf("a Secret in namespace %s: code %d, want %d\n%s%s", namespace, got.code, code, got.out, got.err)
		}
	}
}

func TestVerifyReadsTheClusterWithoutConfig(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var asked clusterOptions
	cluster := func(_ context.Context, o clusterOptions) (config.Objects, error) {
		asked = o
		return config.ReadFiles(l.config)
	}
	got := callWith(t, environment{cluster: cluster}, "verify", l.signed.String(), "--kubeconfig", "file", "--context", "lab", "--system-namespace", "trust")
	if got.code != exitOK {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
	if want := (clusterOptions{"file", "lab", "trust"}); asked != want {
		t.Errorf("asked %+v, want %+v", asked, want)
	}
	broken := func(context.Context, clusterOptions) (config.Objects, error) {
		return config.Objects{}, errors.New("it is down")
	}
	if got := callWith(t, environment{cluster: broken}, "verify", l.signed.String()); got.code != exitError || got.err != "error: it is down\n" {
		t.Errorf("code %d, %s", got.code, got.err)
	}
}

func TestTheClusterIsFoundAsKubectlDoes(t *testing.T) {
	empty := writeFile(t, t.TempDir(), "config", "")
	t.Setenv("KUBECONFIG", empty)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	t.Setenv("HOME", t.TempDir())
	got := callWith(t, environment{cluster: readCluster}, "verify", "nginx")
	wantText(t, "standard error", got.err, "--config")
	t.Setenv("KUBECONFIG", writeFile(t, t.TempDir(), "config", `{apiVersion: v1, kind: Config, current-context: a,
contexts: [{name: a, context: {cluster: a, user: a}}], users: [{name: a, user: {token: secret}}],
clusters: [{name: a, cluster: {server: "http://127.0.0.1:1"}}]}`))
	got = callWith(t, environment{cluster: readCluster}, "verify", "nginx", "--timeout", "5s")
	wantText(t, "standard error", got.err, `cannot read the ConfigMaps of namespace "connaisseur"`)
	got = callWith(t, environment{cluster: readCluster}, "verify", "nginx", "--context", "b")
	wantText(t, "standard error", got.err, `"b" does not exist`)
	if got.code != exitError {
		t.Errorf("code %d", got.code)
	}
}
