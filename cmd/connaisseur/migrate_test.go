package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/sse-secure-systems/connaisseur/pkg/migrate"
)

const migratable = `
validators: [{name: deny, type: static, approve: false}]
policy: [{pattern: "*:*", validator: deny}]
`

const lossy = migratable + `alerting: {admitRequest: {receivers: [{template: slack}]}}
`

func TestMigrate(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		file string
		args []string
		code int
		out  []string
		err  []string
	}{
		"everything":           {file: migratable, out: []string{"kind: ConfigMap\n", "  name: config-policy\n  namespace: connaisseur\n", "    - name: deny\n"}},
		"another namespace":    {file: migratable, args: []string{"--system-namespace", "other"}, out: []string{"  namespace: other\n"}},
		"with a loss":          {file: lossy, code: exitDenied, out: []string{"    - name: deny\n"}, err: []string{"lost: alerting.admitRequest.receivers[0].receiverUrl: is missing: the receiver is left out"}},
		"control characters":   {file: `{"a\u001b[2J": 1, policy: []}`, code: exitDenied, out: []string{"policy: |\n"}, err: []string{"lost: a\uFFFD[2J: is unknown"}},
		"what is none":         {file: "a: b", code: exitError, err: []string{"values.yaml cannot be migrated: it is neither a values file"}},
		"what is no YAML":      {file: "a: [", code: exitError, err: []string{"error: is not valid YAML"}},
		"what is too large":    {file: strings.Repeat("#", migrate.MaxBytes+2), code: exitError, err: []string{"more than 2097152 bytes"}},
		"two files":            {args: []string{"--apply", "x"}, file: "", code: exitError, err: []string{"exactly one file is needed, 2 are given"}},
		"consent for nothing":  {file: migratable, args: []string{"--yes"}, code: exitError, err: []string{"--yes and --accept-losses are for --apply", "See 'connaisseur migrate --help'"}},
		"applied though lossy": {file: lossy, args: []string{"--apply", "--yes"}, code: exitDenied, err: []string{"lost: ", "--accept-losses applies the rest"}},
		"without a cluster":    {file: migratable, args: []string{"--apply"}, code: exitError, err: []string{"error: there is no cluster"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			noCluster := func(clusterOptions) (kubernetes.Interface, error) { return nil, errors.New("there is no cluster") }
			file := writeFile(t, t.TempDir(), "values.yaml", row.file)
			got := callWith(t, environment{client: noCluster}, append([]string{"migrate", file}, row.args...)...)
			if got.code != row.code || (len(row.out) == 0) != (got.out == "") {
				t.Errorf("code %d, %s%s", got.code, got.out, got.err)
			}
			wantText(t, "the output", got.out, row.out...)
			wantText(t, "the standard error", got.err, row.err...)
		})
	}
	if got := call(t, "migrate", "/nowhere"); got.code != exitError || !strings.Contains(got.err, "/nowhere") {
		t.Errorf("a file that there is not: code %d, %s", got.code, got.err)
	}
	if got := callWith(t, environment{in: strings.NewReader(migratable)}, "migrate", "-"); got.code != exitOK || !strings.Contains(got.out, "name: deny") {
		t.Errorf("the standard input: code %d, %s", got.code, got.err)
	}
}

// What is written is what the other commands read.
func TestWhatWasMigratedIsAConfiguration(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := writeFile(t, folder, "migrated.yaml", call(t, "migrate", writeFile(t, folder, "values.txt", migratable)).out)
	if got := call(t, "lint", "--strict", "--config", file); got.code != exitOK {
		t.Errorf("code %d, %s%s", got.code, got.out, got.err)
	}
	wantText(t, "the explanation", call(t, "explain", "nginx", "--config", file).out, `policy[0]`)
}

// apiServer is a cluster in which a dry run stores nothing.
func apiServer(t *testing.T, objects ...runtime.Object) *fake.Clientset {
	t.Helper()
	client := fake.NewClientset(objects...)
	scratch := fake.NewClientset(objects...)
	client.PrependReactor("patch", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		patch, ok := action.(clienttesting.PatchActionImpl)
		if !ok || len(patch.PatchOptions.DryRun) == 0 {
			return false, nil, nil
		}
		return true, dryRun(t, client, scratch, patch), nil
	})
	return client
}

// dryRun has a copy of the cluster changed.
func dryRun(t *testing.T, client, scratch *fake.Clientset, patch clienttesting.PatchActionImpl) runtime.Object {
	t.Helper()
	tracker := scratch.Tracker()
	there, err := client.Tracker().Get(patch.GetResource(), patch.Namespace, patch.Name)
	if err == nil {
		_ = tracker.Delete(patch.GetResource(), patch.Namespace, patch.Name)
		err = tracker.Create(patch.GetResource(), there, patch.Namespace)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	var object runtime.Object
	force := true // the copy does not know who has set what
	options := metav1.PatchOptions{FieldManager: patch.PatchOptions.FieldManager, Force: &force}
	if patch.GetResource().Resource == "secrets" {
		object, err = scratch.CoreV1().Secrets(patch.Namespace).Patch(t.Context(), patch.Name, types.ApplyPatchType, patch.Patch, options)
	} else {
		object, err = scratch.CoreV1().ConfigMaps(patch.Namespace).Patch(t.Context(), patch.Name, types.ApplyPatchType, patch.Patch, options)
	}
	if err != nil {
		t.Fatal(err)
	}
	return object
}

// applying runs the command with what somebody types.
func applying(t *testing.T, client kubernetes.Interface, file, typed string, args ...string) answer {
	t.Helper()
	e := environment{
		in:       strings.NewReader(typed),
		client:   func(clusterOptions) (kubernetes.Interface, error) { return client, nil },
		terminal: func() bool { return typed != "" },
	}
	return callWith(t, e, append([]string{"migrate", writeFile(t, t.TempDir(), "values.yaml", file), "--apply"}, args...)...)
}

func policyIn(t *testing.T, client kubernetes.Interface) map[string]string {
	t.Helper()
	cm, err := client.CoreV1().ConfigMaps("connaisseur").Get(t.Context(), "config-policy", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return cm.Data
}

func TestApplyAsksAndKeepsWhatElseIsSet(t *testing.T) {
	t.Parallel()
	before := map[string]string{"registries": "[]\n", "policy": "[]\n"}
	after := map[string]string{"registries": "[]\n", "policy": "- pattern: \"*:*\"\n  validator: deny\n", "validators": "- name: deny\n  type: static\n  approve: false\n"}
	for name, row := range map[string]struct {
		file, typed string
		args        []string
		code        int
		want        map[string]string
		err         []string
	}{
		"yes":                 {file: migratable, typed: "y\n", want: after, err: []string{"Apply these changes? [y/N] ", "ConfigMap connaisseur/config-policy is applied.\n"}},
		"no":                  {file: migratable, typed: "n\n", code: exitDenied, want: before, err: []string{"Nothing is applied.\n"}},
		"nothing":             {file: migratable, typed: "\n", code: exitDenied, want: before, err: []string{"Nothing is applied.\n"}},
		"nobody to ask":       {file: migratable, code: exitError, want: before, err: []string{"--yes applies it without asking"}},
		"without asking":      {file: migratable, args: []string{"-y"}, want: after},
		"losses are accepted": {file: lossy, args: []string{"-y", "--accept-losses"}, want: after, err: []string{"lost: alerting"}},
		"losses are not":      {file: lossy, typed: "y\n", code: exitDenied, want: before, err: []string{"nothing is applied"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := apiServer(t, configMap("config-policy", before))
			got := applying(t, client, row.file, row.typed, row.args...)
			if got.code != row.code {
				t.Errorf("code %d, %s", got.code, got.err)
			}
			wantText(t, "the standard error", got.err, row.err...)
			if diff := cmp.Diff(row.want, policyIn(t, client)); diff != "" {
				t.Errorf("config-policy (-want +got):\n%s", diff)
			}
		})
	}
}

func TestApplyShowsADiffAndThenNothingAnyMore(t *testing.T) {
	t.Parallel()
	client := apiServer(t, configMap("config-policy", map[string]string{"policy": "[]\n"}))
	got := applying(t, client, migratable, "", "--yes")
	want := `--- ConfigMap connaisseur/config-policy in the cluster
+++ ConfigMap connaisseur/config-policy as migrated
@@ -1,3 +1,10 @@
 data:
   policy: |
-    []
+    - pattern: "*:*"
+      validator: deny
+  validators: |
+    - name: deny
+      type: static
+      approve: false
+labels:
+  app.kubernetes.io/name: connaisseur
`
	if diff := cmp.Diff(want, got.out); diff != "" || got.code != exitOK {
		t.Errorf("code %d, %s, diff (-want +got):\n%s", got.code, got.err, diff)
	}
	if got := applying(t, client, migratable, ""); got.code != exitOK || got.out != "" || !strings.Contains(got.err, "The cluster has all of this already") {
		t.Errorf("again: code %d, %s%s", got.code, got.out, got.err)
	}
}

func TestApplyShowsNoPassword(t *testing.T) {
	t.Parallel()
	file := `
validators: [{name: hub, type: notaryv1, auth: {username: me, password: PASSWORD}, trustRoots: [{name: default, key: "k8s://connaisseur/x"}]}]
policy: [{pattern: "*:*", validator: hub}]
`
	client := apiServer(t)
	for _, row := range []struct{ password, want string }{{"s3cret", "+  secret.yaml: (hidden)\n"}, {"s3cret2", "+  secret.yaml: (hidden, and another one)\n"}} {
		got := applying(t, client, strings.ReplaceAll(file, "PASSWORD", row.password), "", "--yes")
		if got.code != exitOK || strings.Contains(got.out+got.err, "s3cret") || strings.Contains(got.out, "czNjcmV0") {
			t.Errorf("code %d, %s%s", got.code, got.out, got.err)
		}
		wantText(t, "the diff", got.out, row.want)
		s, err := client.CoreV1().Secrets("connaisseur").Get(t.Context(), "hub-auth", metav1.GetOptions{})
		if err != nil || !strings.Contains(string(s.Data["secret.yaml"]), "password: "+row.password+"\nusername") || s.Type != corev1.SecretTypeOpaque {
			t.Errorf("the Secret is %v, %v", s, err)
		}
	}
}

func TestARefusalIsShownBeforeAnythingChanges(t *testing.T) {
	t.Parallel()
	for verb, want := range map[string]string{"get": "ConfigMap connaisseur/config-policy cannot be read", "patch": "nothing is applied, since ConfigMap connaisseur/config-policy would be refused"} {
		client := apiServer(t)
		client.PrependReactor(verb, "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "config-policy", errors.New("the webhook says no"))
		})
		got := applying(t, client, migratable, "", "--yes")
		if got.code != exitError {
			t.Errorf("%s: code %d, %s", verb, got.code, got.err)
		}
		wantText(t, "the error", got.err, want, "the webhook says no")
		if applied := got.out; applied != "" {
			t.Errorf("%s: shown: %s", verb, applied)
		}
	}
}
