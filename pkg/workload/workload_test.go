package workload_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// covered are the kinds of DESIGN §9, and where each has its pod spec.
var covered = map[schema.GroupVersionKind]string{
	{Version: "v1", Kind: "Pod"}:                        "spec",
	{Version: "v1", Kind: "ReplicationController"}:      "spec.template.spec",
	{Group: "apps", Version: "v1", Kind: "Deployment"}:  "spec.template.spec",
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"}:  "spec.template.spec",
	{Group: "apps", Version: "v1", Kind: "DaemonSet"}:   "spec.template.spec",
	{Group: "apps", Version: "v1", Kind: "StatefulSet"}: "spec.template.spec",
	{Group: "batch", Version: "v1", Kind: "Job"}:        "spec.template.spec",
	{Group: "batch", Version: "v1", Kind: "CronJob"}:    "spec.jobTemplate.spec.template.spec",

	{Group: "serving.knative.dev", Version: "v1", Kind: "Service"}:       "spec.template.spec",
	{Group: "serving.knative.dev", Version: "v1", Kind: "Configuration"}: "spec.template.spec",
	{Group: "serving.knative.dev", Version: "v1", Kind: "Revision"}:      "spec",
}

var (
	pod        = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	deployment = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	service    = schema.GroupVersionKind{Group: "serving.knative.dev", Version: "v1", Kind: "Service"}
	cronJob    = schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "CronJob"}
)

// podSpec has two of each kind of container, and volumes of which two are
// images. The image's name tells where it stands.
const podSpec = `{
	"serviceAccountName": "robot",
	"imagePullSecrets": [{"name": "first"}, {"name": "second"}],
	"containers": [{"name": "c0", "image": "app:c0", "env": [{"name": "image", "value": "evil"}]}, {"image": "app:c1", "name": "c1"}],
	"initContainers": [{"name": "i0", "image": "app:i0", "restartPolicy": "Always"}, {"name": "i1", "image": "app:i1"}],
	"ephemeralContainers": [{"name": "e0", "image": "app:e0", "targetContainerName": "c0"}, {"name": "e1", "image": "app:e1"}],
	"volumes": [{"name": "v0", "emptyDir": {}}, {"name": "v1", "image": {"reference": "app:v1", "pullPolicy": "Always"}},
		{"name": "v2", "configMap": {"name": "image"}}, {"name": "v3", "image": {"reference": "app:v3"}}]
}`

// wrap puts a pod spec at the path of an object.
func wrap(path, spec string) string {
	for _, key := range slices.Backward(strings.Split(path, ".")) {
		spec = fmt.Sprintf(`{%q: %s}`, key, spec)
	}
	return fmt.Sprintf(`{"metadata": {"name": "web", "namespace": "prod"}, %s`, strings.TrimPrefix(spec, "{"))
}

func extract(t testing.TB, gvk schema.GroupVersionKind, raw string) *workload.Workload {
	t.Helper()
	w, err := workload.Builtin().Extract(gvk, []byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// resolve follows an RFC 6901 JSON pointer.
func resolve(t testing.TB, raw, pointer string) any {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(raw), &value); err != nil {
		t.Fatal(err)
	}
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i >= len(v) {
				t.Fatalf("%s: no item %s", pointer, token)
			}
			value = v[i]
		default:
			t.Fatalf("%s: nothing at %s", pointer, token)
		}
	}
	return value
}

// TestExtractFindsEveryImageOfEveryKind covers row T8: init containers,
// ephemeral containers and image volumes count like containers, in each kind.
func TestExtractFindsEveryImageOfEveryKind(t *testing.T) {
	t.Parallel()
	for gvk, path := range covered {
		t.Run(gvk.GroupKind().String(), func(t *testing.T) {
			t.Parallel()
			raw := wrap(path, podSpec)
			w := extract(t, gvk, raw)
			pointer := "/" + strings.ReplaceAll(path, ".", "/")
			image := func(kind workload.ContainerKind, i int, short, leaf string) workload.Image {
				name := short + strconv.Itoa(i)
				return workload.Image{
					Reference: "app:" + name, Kind: kind, Name: name,
					Field:   fmt.Sprintf("%s.%s[%d].%s", path, kind, i, leaf),
					Pointer: fmt.Sprintf("%s/%s/%d/%s", pointer, kind, i, strings.ReplaceAll(leaf, ".", "/")),
				}
			}
			want := &workload.Workload{
				Kind: gvk, Namespace: "prod", Name: "web", ServiceAccount: "robot", PullSecrets: []string{"first", "second"},
				Images: []workload.Image{
					image(workload.InitContainer, 0, "i", "image"), image(workload.InitContainer, 1, "i", "image"),
					image(workload.Container, 0, "c", "image"), image(workload.Container, 1, "c", "image"),
					image(workload.EphemeralContainer, 0, "e", "image"), image(workload.EphemeralContainer, 1, "e", "image"),
					image(workload.ImageVolume, 1, "v", "image.reference"), image(workload.ImageVolume, 3, "v", "image.reference"),
				},
			}
			if diff := cmp.Diff(want, w); diff != "" {
				t.Errorf("Extract (-want +got):\n%s", diff)
			}
			for _, img := range w.Images {
				if got := resolve(t, raw, img.Pointer); got != img.Reference {
					t.Errorf("%s addresses %v, not %q", img.Pointer, got, img.Reference)
				}
			}
		})
	}
}

// TestImagesElsewhereInAnObjectAreNotTaken: a pod spec counts only where the
// kind has it.
func TestImagesElsewhereInAnObjectAreNotTaken(t *testing.T) {
	t.Parallel()
	for gvk, path := range covered {
		for _, other := range []string{"spec", "spec.template.spec", "spec.jobTemplate.spec.template.spec", "template.spec", "status"} {
			w := extract(t, gvk, wrap(other, podSpec))
			if found := len(w.Images) > 0; found != (other == path) {
				t.Errorf("%s has images at %s: %t", gvk.Kind, other, found)
			}
		}
	}
}

func TestExtractReadsWhatElseMatters(t *testing.T) {
	t.Parallel()
	yes := true
	owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-1", UID: "u1", Controller: &yes}
	for _, test := range []struct {
		name, raw string
		want      workload.Workload
		text      string
	}{
		{"a name", `{"metadata":{"name":"web"}}`, workload.Workload{Name: "web"}, "Pod web"},
		{"a name that is generated", `{"metadata":{"generateName":"web-"}}`, workload.Workload{Name: "web-"}, "Pod web-"},
		{"a name precedes one that is generated", `{"metadata":{"name":"web","generateName":"x-","namespace":"prod"}}`, workload.Workload{Name: "web", Namespace: "prod"}, "Pod prod/web"},
		{"owners", `{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","uid":"u1","controller":true}]}}`,
			workload.Workload{Owners: []metav1.OwnerReference{owner}}, "Pod "},
		{"T6: a mark for deletion", `{"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"}}`, workload.Workload{Deleting: true}, "Pod "},
		{"T6: no mark for deletion", `{"metadata":{"deletionTimestamp":null}}`, workload.Workload{}, "Pod "},
		{"T6: a mark elsewhere is none", `{"deletionTimestamp":"2026-01-02T03:04:05Z","spec":{"deletionTimestamp":"2026-01-02T03:04:05Z"}}`, workload.Workload{}, "Pod "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := extract(t, pod, test.raw)
			test.want.Kind, test.want.Images = pod, []workload.Image{}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("Extract (-want +got):\n%s", diff)
			}
			if got.String() != test.text {
				t.Errorf("String() = %q, want %q", got, test.text)
			}
		})
	}
}

// TestOddObjects: what a tenant leaves out or adds hides no image.
func TestOddObjects(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, raw string
		want      []string
	}{
		{"no spec", `{}`, nil},
		{"a spec that is null", `{"spec":null}`, nil},
		{"no containers", `{"spec":{}}`, nil},
		{"containers that are null", `{"spec":{"containers":null}}`, nil},
		{"an image that is missing is still listed", `{"spec":{"containers":[{"name":"a"}]}}`, []string{"containers=''"}},
		{"a container that is null is still listed", `{"spec":{"containers":[null,{"image":"x"}]}}`, []string{"containers=''", "containers='x'"}},
		{"an image volume without reference is still listed", `{"spec":{"volumes":[{"image":{}}]}}`, []string{"volumes=''"}},
		{"an image volume that is null is none", `{"spec":{"volumes":[{"image":null}]}}`, nil},
		{"keys are told from their case, as the API server does", `{"spec":{"Containers":[{"image":"x"}],"containers":[{"Image":"y","image":"z"}]}}`, []string{"containers='z'"}},
		{"T7: no replicas hide nothing", `{"spec":{"replicas":0,"containers":[{"image":"x"}]}}`, []string{"containers='x'"}},
		{"blanks around an image are kept", `{"spec":{"containers":[{"image":" x "}]}}`, []string{"containers=' x '"}},
		{"text around the object is no error", " \n{\"spec\":{\"containers\":[{\"image\":\"x\"}]}}\n", []string{"containers='x'"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, img := range extract(t, pod, test.raw).Images {
				got = append(got, fmt.Sprintf("%s='%s'", img.Kind, img.Reference))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExtractRefuses covers row T30: what cannot be read is an error, never an
// object without images.
func TestExtractRefuses(t *testing.T) {
	t.Parallel()
	v1 := func(group, kind string) schema.GroupVersionKind {
		return schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}
	}
	for _, test := range []struct {
		name string
		gvk  schema.GroupVersionKind
		raw  string
		want string
	}{
		{"an unknown kind", v1("", "ConfigMap"), `{}`, "objects of kind ConfigMap are not covered"},
		{"a known kind of another group", v1("evil.io", "Pod"), `{}`, "objects of kind Pod.evil.io are not covered"},
		{"Kubernetes's own Service", v1("", "Service"), `{}`, "not covered"},
		{"a kind in another case", v1("", "pod"), `{}`, "not covered"},
		{"no kind", schema.GroupVersionKind{}, `{}`, "not covered"},
		{"T7: a Scale, which has no image", v1("autoscaling", "Scale"), `{}`, "not covered"},
		{"T30: nothing", pod, ``, "the Pod cannot be read"},
		{"T30: null", pod, ` null `, "the Pod cannot be read: it is not a JSON object"},
		{"T30: a list", pod, `[]`, "the Pod cannot be read"},
		{"T30: a string", pod, `"pod"`, "the Pod cannot be read"},
		{"T30: half an object", pod, `{"spec":{"containers":[{"image":"x"`, "the Pod cannot be read"},
		{"T30: two objects", pod, `{}{}`, "the Pod cannot be read"},
		{"T30: YAML", pod, "spec: {}", "the Pod cannot be read"},
		{"T30: containers that are no list", pod, `{"spec":{"containers":{"image":"x"}}}`, "the Pod cannot be read"},
		{"T30: an image that is no string", pod, `{"spec":{"containers":[{"image":["x"]}]}}`, "the Pod cannot be read"},
		{"T30: a template that is no object", deployment, `{"spec":{"template":"x"}}`, "the Deployment cannot be read"},
		{"T30: nesting without end", pod, strings.Repeat(`{"spec":`, 100_000), "the Pod cannot be read"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w, err := workload.Builtin().Extract(test.gvk, []byte(test.raw))
			if err == nil || w != nil {
				t.Fatalf("Extract = %v, %v", w, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error does not say %q: %v", test.want, err)
			}
		})
	}
}

// TestRules: admission is asked about exactly the kinds that are covered. Row
// T8: ephemeral containers come by a subresource of their own.
func TestRules(t *testing.T) {
	t.Parallel()
	got := map[string][]string{}
	for _, r := range workload.Builtin().Rules() {
		if _, again := got[r.String()]; again {
			t.Errorf("%s is listed twice", r)
		}
		got[r.String()] = r.Names
	}
	want := map[string][]string{
		"v1":       {"pods", "pods/ephemeralcontainers", "replicationcontrollers"},
		"apps/v1":  {"deployments", "replicasets", "daemonsets", "statefulsets"},
		"batch/v1": {"jobs", "cronjobs"},

		"serving.knative.dev/v1": {"services", "configurations", "revisions"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Rules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(workload.Builtin().Rules(), workload.Builtin().Rules()); diff != "" {
		t.Errorf("the order is not stable:\n%s", diff)
	}
	for gvk := range maps.Keys(covered) {
		if !workload.Builtin().Covers(gvk.GroupKind()) {
			t.Errorf("%s is not covered", gvk)
		}
	}
	if workload.Builtin().Covers(schema.GroupKind{Kind: "Service"}) {
		t.Error("Kubernetes's own Service is covered")
	}
	if none := (workload.Kinds{}); none.Covers(schema.GroupKind{Kind: "Pod"}) || none.Rules() != nil {
		t.Error("the zero value covers something")
	}
}

// TestImageSets covers row T6: an update changes no image only if each one
// stands in the same list, spelled the same.
func TestImageSets(t *testing.T) {
	t.Parallel()
	old := extract(t, pod, `{"spec":{"containers":[{"name":"a","image":"x:1"},{"name":"b","image":"y:1"}],"initContainers":[{"name":"i","image":"z:1"}]}}`)
	for _, test := range []struct {
		name, spec string
		want       bool
	}{
		{"the same images", `"containers":[{"image":"x:1"},{"image":"y:1"}],"initContainers":[{"image":"z:1"}]`, true},
		{"fewer of them", `"containers":[{"image":"x:1"}]`, true},
		{"none", ``, true},
		{"in another order", `"containers":[{"image":"y:1"},{"image":"x:1"}]`, true},
		{"one of them twice", `"containers":[{"image":"x:1"},{"image":"x:1"}]`, true},
		{"T6: another tag", `"containers":[{"image":"x:2"}]`, false},
		{"T6: one more", `"containers":[{"image":"x:1"},{"image":"evil"}]`, false},
		{"T6: spelled otherwise", `"containers":[{"image":"docker.io/library/x:1"}]`, false},
		{"T6: in another list", `"containers":[{"image":"z:1"}]`, false},
		{"T8: an ephemeral container", `"ephemeralContainers":[{"image":"x:1"}]`, false},
		{"T6: an image volume", `"volumes":[{"image":{"reference":"x:1"}}]`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			updated := extract(t, pod, `{"spec":{`+test.spec+`}}`)
			if got := old.ImageSet().HasAll(updated); got != test.want {
				t.Errorf("the old object has all images: %t, want %t", got, test.want)
			}
			var created *workload.Workload
			if got, want := created.ImageSet().HasAll(updated), len(updated.Images) == 0; got != want {
				t.Errorf("no old object has all images: %t, want %t", got, want)
			}
		})
	}
}

func TestTheServiceAccountIsFoundUnderItsDeprecatedNameToo(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string]string{
		`{"serviceAccount": "robot"}`: "robot", `{"serviceAccount": "old", "serviceAccountName": "robot"}`: "robot", `{}`: "",
	} {
		w, err := workload.Builtin().Extract(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, []byte(`{"spec": `+spec+`}`))
		if err != nil || w.ServiceAccount != want {
			t.Errorf("%s: got %+v, %v", spec, w, err)
		}
	}
}
