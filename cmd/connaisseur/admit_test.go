package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const (
	podManifest = `apiVersion: v1
kind: Pod
metadata: {name: web, %[3]s}
spec:
  initContainers: [{name: init, image: "%[2]s"}]
  containers: [{name: app, image: "%[1]s"}, {name: side, image: "%[2]s"}]
  volumes: [{name: data, image: {reference: "%[1]s"}}]
`
	deploymentManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod}
spec: {template: {spec: {containers: [{name: app, image: "%[1]s"}, {name: side, image: "%[2]s"}]}}}
`
	cronJobManifest = `apiVersion: batch/v1
kind: CronJob
metadata: {generateName: nightly-}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: app, image: "%[1]s"}]}}}}}
`
	serviceManifest = `apiVersion: v1
kind: Service
metadata: {name: web, annotations: {size: "12345678901234567890", enabled: "yes"}}
spec: {ports: [{port: 80}]}
`
)

func pod(app, side, metadata string) string { return fmt.Sprintf(podManifest, app, side, metadata) }

// documents splits what admit wrote.
func documents(t *testing.T, out string) []string {
	t.Helper()
	if out == "" {
		return nil
	}
	return strings.Split(out, "---\n")
}

func decode[T any](t *testing.T, document string) T {
	t.Helper()
	var object T
	if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return object
}

func TestAdmitPinsImages(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	app, side := l.signed, l.sidecar
	file := writeFile(t, t.TempDir(), "all.yaml", strings.Join([]string{
		"# a comment\n" + pod(app.String(), side.String(), "labels: {a: b}"),
		fmt.Sprintf(deploymentManifest, app, side.ByDigest()),
		serviceManifest,
		fmt.Sprintf(cronJobManifest, app.Pinned()),
	}, "---\n"))
	got := call(t, "admit", "--config", l.config, "-f", file)
	if got.code != exitOK {
		t.Fatalf("code %d\n%s%s", got.code, got.out, got.err)
	}
	parts := documents(t, got.out)
	if len(parts) != 4 {
		t.Fatalf("%d documents\n%s", len(parts), got.out)
	}
	p := decode[corev1.Pod](t, parts[0])
	images := []string{p.Spec.InitContainers[0].Image, p.Spec.Containers[0].Image, p.Spec.Containers[1].Image, p.Spec.Volumes[0].Image.Reference}
	d := decode[appsv1.Deployment](t, parts[1])
	images = append(images, d.Spec.Template.Spec.Containers[0].Image, d.Spec.Template.Spec.Containers[1].Image)
	c := decode[batchv1.CronJob](t, parts[3])
	images = append(images, c.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Image)
	want := []string{side.Pinned(), app.Pinned(), side.Pinned(), app.Pinned(), app.Pinned(), side.ByDigest(), app.Pinned()}
	for i := range want {
		if images[i] != want[i] {
			t.Errorf("image %d is %s, want %s", i, images[i], want[i])
		}
	}
	if s := decode[corev1.Service](t, parts[2]); s.Annotations["size"] != "12345678901234567890" || s.Annotations["enabled"] != "yes" {
		t.Errorf("the Service was changed:\n%s", parts[2])
	}
	if p.Labels["a"] != "b" || p.Namespace != "" {
		t.Errorf("more of the Pod was changed than its images:\n%s", parts[0])
	}
	if lines := strings.Count(got.err, "\n"); lines != 7 {
		t.Errorf("%d lines for 7 images:\n%s", lines, got.err)
	}
	wantText(t, "standard error", got.err,
		"Pod default/web: Trusted: spec.initContainers[0].image "+side.String(),
		"Deployment prod/web: Trusted: spec.template.spec.containers[1].image "+side.ByDigest(),
		"CronJob default/nightly-: Trusted: spec.jobTemplate.spec.template.spec.containers[0].image ")
	if strings.Contains(got.err, "NotPinned") {
		t.Error("the validating webhook refused what the mutating one pinned")
	}
}

func TestWhatAdmitWritesIsAdmittedUnchanged(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	first := callWith(t, environment{in: strings.NewReader(pod(l.signed.String(), l.sidecar.String(), ""))}, "admit", "--config", l.config, "-f", "-")
	second := callWith(t, environment{in: strings.NewReader(first.out)}, "admit", "--config", l.config, "-f", "-")
	if first.code != exitOK || second.code != exitOK || first.out != second.out {
		t.Errorf("codes %d and %d\n%s\n%s", first.code, second.code, first.out, second.out)
	}
}

func TestAdmitEndsWithACodeThatSumsUp(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	good, bad, down := l.signed.String(), l.unsigned.String(), unreachable
	list := func(items ...string) string {
		var b strings.Builder
		b.WriteString("apiVersion: v1\nkind: List\nitems:\n")
		for _, item := range items {
			b.WriteString("- " + strings.ReplaceAll(strings.TrimSpace(item), "\n", "\n  ") + "\n")
		}
		return b.String()
	}
	for name, row := range map[string]struct {
		in   string
		args []string
		code int
		left int // objects on the standard output
		says string
	}{
		"a trusted Pod":                      {in: pod(good, good, ""), left: 1},
		"a Pod with an unsigned image":       {in: pod(good, bad, ""), code: exitDenied, says: "Pod default/web: Denied: spec.containers[1].image " + bad + ": Unable to find signed digest"},
		"a Pod whose registry is down":       {in: pod(good, down, ""), code: exitInconclusive, says: "RegistryUnavailable"},
		"denied outweighs inconclusive":      {in: pod(good, down, "") + "---\n" + pod(bad, good, ""), code: exitDenied},
		"only what is denied is left out":    {in: pod(bad, good, "") + "---\n" + serviceManifest + "---\n" + pod(good, good, ""), code: exitDenied, left: 2},
		"a list is taken apart":              {in: list(pod(good, good, ""), serviceManifest, pod(good, bad, "")), code: exitDenied, left: 2},
		"an empty list":                      {in: "apiVersion: v1\nkind: List\nitems: []\n", code: exitError, says: "error: there is no object in -"},
		"an excluded namespace":              {in: pod(bad, bad, "namespace: kube-system"), left: 1, says: "Pod kube-system/web: Skipped: not looked at"},
		"a namespace of the command line":    {in: pod("redis:8", "redis:8", ""), args: []string{"-n", "prod-eu"}, left: 1, says: "Pod prod-eu/web: Allowed"},
		"the object's own namespace counts":  {in: pod("redis:8", "redis:8", "namespace: test"), args: []string{"-n", "prod-eu"}, code: exitDenied, says: "Pod test/web: Denied"},
		"an object without a kind":           {in: "apiVersion: v1\nmetadata: {name: web}\n", code: exitError, says: "error: standard input: document 1: is no Kubernetes object: apiVersion or kind is missing"},
		"an object without an apiVersion":    {in: pod(good, good, "") + "---\nkind: Pod\n", code: exitError, says: "document 2: "},
		"a document that is no object":       {in: "- 1\n", code: exitError, says: "is no Kubernetes object"},
		"a document that is no YAML":         {in: "a: [\n", code: exitError, says: "error: standard input: document 1: "},
		"a key that stands twice":            {in: "apiVersion: v1\nkind: Pod\nkind: Service\n", code: exitError, says: `"kind" already set`},
		"a Pod with a list for an image":     {in: "apiVersion: v1\nkind: Pod\nspec: {containers: [{image: [a]}]}\n", code: exitError, says: "the Pod cannot be read"},
		"nothing":                            {code: exitError, says: "error: there is no object in -"},
		"a Pod without images":               {in: "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", left: 1, says: "Pod default/a: Skipped: it has no image"},
		"a name that forges a line":          {in: pod(good, bad, `"name": "x\nPod default/y: Trusted"`), code: exitError},
		"an image that forges a line":        {in: pod(good, `x\nPod default/y: Trusted: `, ""), code: exitDenied, says: "Pod default/web: Denied: spec.initContainers[0].image \"x\\nPod"},
		"an argument that belongs behind -f": {in: pod(good, good, ""), args: []string{"pod.yaml"}, code: exitError, says: "manifests are named with -f"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"admit", "--config", l.config, "-f", "-"}, row.args...)
			got := callWith(t, environment{in: strings.NewReader(row.in)}, args...)
			if left := len(documents(t, got.out)); got.code != row.code || left != row.left {
				t.Errorf("code %d, want %d; %d objects, want %d\n%s%s", got.code, row.code, left, row.left, got.out, got.err)
			}
			wantText(t, "standard error", got.err, row.says)
		})
	}
}

func TestAdmitReadsFoldersAndWritesJSON(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	folder := t.TempDir()
	writeFile(t, folder, "b.yaml", serviceManifest)
	writeFile(t, folder, "a.yml", pod(l.signed.String(), l.sidecar.String(), ""))
	other := writeFile(t, t.TempDir(), "c.json", `{"apiVersion": "example.com/v1", "kind": "Thing", "big": 9007199254740993}`)
	got := call(t, "admit", "--config", l.config, "-f", folder, "-f", other, "-o", "json")
	var kinds []string
	decoder := json.NewDecoder(strings.NewReader(got.out))
	for decoder.More() {
		var object struct{ Kind string }
		if err := decoder.Decode(&object); err != nil {
			t.Fatalf("%v\n%s", err, got.out)
		}
		kinds = append(kinds, object.Kind)
	}
	if strings.Join(kinds, " ") != "Pod Service Thing" {
		t.Errorf("code %d, kinds %s\n%s", got.code, kinds, got.err)
	}
	wantText(t, "the output", got.out, "9007199254740993", l.signed.Pinned())
}

func TestAdmitNeedsFiles(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"no file":                  nil,
		"a file that is not there": {"-f", "/nowhere"},
		"no configuration":         {"-f", writeFile(t, t.TempDir(), "a.yaml", serviceManifest)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := call(t, append([]string{"admit"}, args...)...); got.code != exitError || !strings.HasPrefix(got.err, "error: ") {
				t.Errorf("code %d, %s", got.code, got.err)
			}
		})
	}
}
