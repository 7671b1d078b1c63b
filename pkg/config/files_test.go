package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

const policyYAML = `# a comment
---
apiVersion: v1
kind: ConfigMap
metadata: {name: config-policy, namespace: elsewhere}
data:
  validators: |
    - {name: default, type: static, approve: true}
  policy: |
    - pattern: '*:*'
`

func write(t testing.TB, files entries) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFilesAreReadAsTheClusterIs(t *testing.T) {
	t.Parallel()
	list := `{"apiVersion":"v1","kind":"List","items":[
		{"apiVersion":"v1","kind":"Secret","metadata":{"name":"team"},"stringData":{"cosign.pub":"x"}},
		{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"config-features"},"data":{"cache.expirySeconds":"7"}}]}`
	dir := write(t, entries{"a.yaml": policyYAML, "b.json": list, "c.yml": "---\n---\napiVersion: apps/v1\nkind: Deployment\n", "README.md": "kind: ["})
	o, err := config.ReadFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	if o.Namespace != "elsewhere" || len(o.ConfigMaps) != 2 || len(o.Secrets) != 1 {
		t.Errorf("got %q, %d ConfigMaps, %d Secrets", o.Namespace, len(o.ConfigMaps), len(o.Secrets))
	}
	if s := build(t, o); s.Features.Cache.ExpirySeconds != 7 {
		t.Errorf("got %+v", s.Features)
	}
	if value, err := o.SecretEntry("elsewhere", "team", "cosign.pub"); err != nil || string(value) != "x" {
		t.Errorf("got %q, %v", value, err)
	}
	if _, err := config.ReadFiles(filepath.Join(dir, "a.yaml")); err != nil {
		t.Error(err)
	}
}

func TestFilesThatCannotBeReadAreErrorsWithTheirName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files entries
		want  string
	}{
		"the folder is empty":          {entries{}, "the folder holds no YAML file"},
		"there is no YAML file":        {entries{"a.txt": policyYAML}, "the folder holds no YAML file"},
		"there is no ConfigMap":        {entries{"a.yaml": "apiVersion: v1\nkind: Pod\n"}, "holds no ConfigMap"},
		"a file is no YAML":            {entries{"a.yaml": "{"}, "a.yaml: document 1: "},
		"a file is no object":          {entries{"a.yaml": "- x\n"}, "a.yaml: document 1: is no Kubernetes object"},
		"a ConfigMap is misspelled":    {entries{"a.yaml": strings.Replace(policyYAML, "data:", "dat:", 1)}, "ConfigMap: "},
		"a ConfigMap's value is none":  {entries{"a.yaml": policyYAML + "  x: [3]\n"}, "ConfigMap: "},
		"a Secret is not base64":       {entries{"a.yaml": policyYAML + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {y: '&'}\n"}, "Secret: "},
		"a ConfigMap is defined twice": {entries{"a.yaml": policyYAML, "b.yaml": policyYAML}, "ConfigMap config-policy is defined twice"},
		"a list's item is defined twice": {entries{"a.yaml": policyYAML, "b.yaml": "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: config-policy}}\n"},
			"ConfigMap config-policy is defined twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := config.ReadFiles(write(t, c.files)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
	if _, err := config.ReadFiles(filepath.Join(t.TempDir(), "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestTheClusterIsReadWithAndWithoutSecrets(t *testing.T) {
	t.Parallel()
	elsewhere := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "kube-system"}}
	client := fake.NewSimpleClientset(allowing(), secret("team", entries{"a": "b"}), elsewhere)
	o, err := config.ReadCluster(t.Context(), client, "connaisseur")
	if err != nil || len(o.ConfigMaps) != 1 || len(o.Secrets) != 1 || o.Namespace != "connaisseur" {
		t.Errorf("got %+v, %v", o, err)
	}
	refuse := func(resource string, with error) *fake.Clientset {
		client := fake.NewSimpleClientset(allowing())
		client.PrependReactor("list", resource, func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, with })
		return client
	}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "", nil)
	if o, err := config.ReadCluster(t.Context(), refuse("secrets", forbidden), "connaisseur"); err != nil || len(o.ConfigMaps) != 1 {
		t.Errorf("Secrets that may not be read: %v", err)
	}
	if _, err := config.ReadCluster(t.Context(), refuse("secrets", errors.New("down")), "connaisseur"); err == nil {
		t.Error("T10: Secrets that cannot be read were taken for none")
	}
	if _, err := config.ReadCluster(t.Context(), refuse("configmaps", forbidden), "connaisseur"); err == nil {
		t.Error("T10: ConfigMaps that cannot be read were taken for none")
	}
}
