//go:build helm

package helm

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	releaseNamespace = "connaisseur"
	unsigned         = "registry.example.com/team/unsigned:v1"
)

const allowing = `
application:
  validators: [{name: allow, type: static, approve: true}, {name: deny, type: static, approve: false}]
  policy: [{pattern: "*:*", validator: deny}, {pattern: "registry.example.com/*:*", validator: allow}]
`

// What a chart goes through, with the webhook as a process that the API server
// calls by URL: what it does to the installed objects must not be in Helm's way.
func TestLifeInACluster(t *testing.T) {
	byURL := filepath.Join(t.TempDir(), "connaisseur")
	if err := os.CopyFS(byURL, os.DirFS(chart())); err != nil {
		t.Fatal(err)
	}
	callByURL(t, filepath.Join(byURL, "templates", "500-webhooks.yaml"))
	t.Cleanup(func() {
		_, _ = command(helm, "uninstall", "connaisseur", "--namespace", releaseNamespace, "--ignore-not-found")
		_, _ = command(root+"/hack/webhook.sh", "down")
	})

	do := func(name string, args ...string) {
		t.Helper()
		if _, err := command(name, args...); err != nil {
			t.Fatal(err)
		}
	}
	do(helm, readme(t, "helm upgrade --install", map[string]string{"bin/release/connaisseur": byURL, "values.yaml": valuesFile(t, "")})...)
	do(root+"/hack/webhook.sh", "up")
	denied(t)
	do(helm, "upgrade", "connaisseur", byURL, "--namespace", releaseNamespace, "--values", valuesFile(t, allowing))
	admitted(t)
	do(helm, "rollback", "connaisseur", "1", "--namespace", releaseNamespace)
	denied(t)

	// One that is wrong is refused, and nothing changes.
	_, err := command(helm, "upgrade", "connaisseur", byURL, "--namespace", releaseNamespace,
		"--values", valuesFile(t, strings.ReplaceAll(allowing, "validator: allow", "validator: alow")))
	if err == nil || !strings.Contains(err.Error(), `did you mean "allow"?`) {
		t.Errorf("a policy with a mistake: %v", err)
	}
	denied(t)

	// What is set in a ConfigMap, and not among the values, is left alone.
	do("kubectl", "--namespace", releaseNamespace, "patch", "configmap", "config-policy", "--type", "merge", "--patch",
		`{"data": {"validators": "[{name: allow, type: static, approve: true}]", "policy": "[{pattern: '*:*', validator: allow}]"}}`)
	admitted(t)
	do(helm, "upgrade", "connaisseur", byURL, "--namespace", releaseNamespace, "--set", "application.features.detectionMode=false")
	data, err := command("kubectl", "--namespace", releaseNamespace, "get", "configmaps", "config-policy", "config-features", "--output", "jsonpath={.items[*].data}")
	if err != nil || !strings.Contains(data, `"policy":"[{pattern: '*:*'`) || !strings.Contains(data, `"detectionMode":"false"`) {
		t.Errorf("after an upgrade of something else: %s (%v)", data, err)
	}
	admitted(t)

	do("kubectl", "--namespace", releaseNamespace, "patch", "configmap", "config-policy", "--type", "json", "--patch",
		`[{"op": "remove", "path": "/data/validators"}, {"op": "remove", "path": "/data/policy"}]`)
	denied(t)
	do(helm, readme(t, "helm uninstall", nil)...)
	if err := create(); err != nil {
		t.Errorf("after uninstall: %v", err)
	}
	left, err := command("kubectl", "get", "--ignore-not-found", "--output", "name", "--all-namespaces", "--selector", "app.kubernetes.io/name=connaisseur",
		"mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,clusterrolebindings,roles,rolebindings,serviceaccounts,configmaps,secrets,services,deployments,networkpolicies,poddisruptionbudgets,resourcequotas")
	if err != nil || left != "" {
		t.Errorf("after uninstall there is %s (%v)", left, err)
	}
}

var (
	exported = regexp.MustCompile(`WEBHOOK_URL=(\S+)`)
	service  = regexp.MustCompile(`(?s)(- name: ([a-z]+)\.[^\n]+\n.*?)      service:\n +namespace: [^\n]+\n +name: [^\n]+\n`)
)

// callByURL has the API server call the webhook of hack/webhook.sh.
func callByURL(t *testing.T, name string) {
	t.Helper()
	env, err := command(root+"/hack/webhook.sh", "env")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text = service.ReplaceAll(text, []byte("${1}      url: "+exported.FindStringSubmatch(env)[1]+"/${2}\n"))
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// create has the API server admit a Pod, or not.
func create() error {
	_, err := command("kubectl", "run", "unsigned", "--image", unsigned, "--dry-run=server")
	return err
}

// readme gives the arguments of a command of the README, with others in the place
// of some.
func readme(t *testing.T, command string, others map[string]string) []string {
	t.Helper()
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, command+" ") {
			continue
		}
		args := strings.Fields(line)[1:]
		for i, arg := range args {
			if other, ok := others[arg]; ok {
				args[i] = other
			}
		}
		return args
	}
	t.Fatalf("the README does not have %s", command)
	return nil
}

// denied waits until an unsigned image is, which a reload takes a moment for.
func denied(t *testing.T) {
	t.Helper()
	eventually(t, func(err error) bool { return err != nil && strings.Contains(err.Error(), "denied the request") })
}

func admitted(t *testing.T) {
	t.Helper()
	eventually(t, func(err error) bool { return err == nil })
}

func eventually(t *testing.T, done func(error) bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		err := create()
		if done(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("an unsigned image: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
