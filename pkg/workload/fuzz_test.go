package workload_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	kjson "sigs.k8s.io/json"

	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// FuzzExtract compares with the typed objects that the API server and the
// kubelet read: whatever they run is found, and each pointer addresses it.
func FuzzExtract(f *testing.F) {
	for i := range len(typed) {
		for _, path := range covered {
			f.Add(uint8(i), wrap(path, podSpec))
		}
		for _, raw := range []string{
			`{}`, `null`, ``, `[]`, `{"spec":null}`, `{"spec":{"containers":[null]}}`, `{"spec":{"Containers":[{"image":"x"}]}}`,
			`{"spec":{"containers":[{"image":"x"}],"containers":[{"image":"y"}]}}`, `{"spec":{"containers":[{"image":"x"},{"image":"z"}],"containers":[{}]}}`,
			`{"spec":{"template":{"spec":{"volumes":[{"name":"a","image":{}}]}}}}`, `{"spec":{"containers":{}}}`, `{"spec":{"template":null,"jobTemplate":null}}`,
			`{"metadata":{"ownerReferences":[{"uid":"a"}],"deletionTimestamp":"2026-01-02T03:04:05Z"}}`, `{"a":1}{`, "{\"spec\":{\"containers\":[{\"image\":\"\\ud800\"}]}}",
		} {
			f.Add(uint8(i), raw)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, raw string) {
		kind := typed[int(which)%len(typed)]
		w, err := workload.Builtin().Extract(kind.gvk, []byte(raw))
		if (w == nil) == (err == nil) {
			t.Fatalf("Extract = %v, %v", w, err)
		}
		spec, typedErr := kind.read([]byte(raw))
		if err != nil || typedErr != nil {
			return // the API server refuses what typed objects cannot hold
		}
		var got []string
		for _, img := range w.Images {
			got = append(got, string(img.Kind)+" "+img.Name+" "+img.Reference)
			if img.Reference == "" || duplicates(raw) {
				continue // there may be nothing to address
			}
			if at := resolve(t, raw, img.Pointer); at != img.Reference {
				t.Errorf("%s addresses %v, not %q", img.Pointer, at, img.Reference)
			}
		}
		if diff := cmp.Diff(runs(spec), got); diff != "" {
			t.Errorf("%s runs other images than those found (-runs +found):\n%s", kind.gvk.Kind, diff)
		}
	})
}

// duplicates guards a comparison: encoding/json merges keys that stand twice.
func duplicates(raw string) bool {
	var value any
	strictErrs, err := kjson.UnmarshalStrict([]byte(raw), &value, kjson.DisallowDuplicateFields)
	return err != nil || len(strictErrs) > 0
}

// runs lists the images of a typed pod spec.
func runs(spec corev1.PodSpec) (images []string) {
	add := func(kind, name, reference string) {
		images = append(images, fmt.Sprintf("%s %s %s", kind, name, reference))
	}
	for _, c := range spec.InitContainers {
		add("initContainers", c.Name, c.Image)
	}
	for _, c := range spec.Containers {
		add("containers", c.Name, c.Image)
	}
	for _, c := range spec.EphemeralContainers {
		add("ephemeralContainers", c.Name, c.Image)
	}
	for _, v := range spec.Volumes {
		if v.Image != nil {
			add("volumes", v.Name, v.Image.Reference)
		}
	}
	return images
}

// typed reads a pod spec by the API's own types, and by Knative's duck type.
var typed = []struct {
	gvk  schema.GroupVersionKind
	read func([]byte) (corev1.PodSpec, error)
}{
	{pod, func(raw []byte) (corev1.PodSpec, error) { o, err := read[corev1.Pod](raw); return o.Spec, err }},
	{deployment, func(raw []byte) (corev1.PodSpec, error) {
		o, err := read[appsv1.Deployment](raw)
		return o.Spec.Template.Spec, err
	}},
	{service, func(raw []byte) (corev1.PodSpec, error) {
		o, err := read[duckv1.WithPod](raw)
		return o.Spec.Template.Spec, err
	}},
	{cronJob, func(raw []byte) (corev1.PodSpec, error) {
		o, err := read[batchv1.CronJob](raw)
		return o.Spec.JobTemplate.Spec.Template.Spec, err
	}},
}

func read[T any](raw []byte) (object T, err error) {
	err = kjson.UnmarshalCaseSensitivePreserveInts(raw, &object)
	return object, err
}

func BenchmarkExtract(b *testing.B) {
	for _, size := range []int{1 << 10, 8 << 10} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			raw := []byte(podOf(size))
			if len(raw) < size || len(raw) > size+300 {
				b.Fatalf("the Pod has %d bytes", len(raw))
			}
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				if w, err := workload.Builtin().Extract(pod, raw); err != nil || len(w.Images) == 0 {
					b.Fatal(w, err)
				}
			}
		})
	}
}

// podOf gives a Pod of about that many bytes, as the API server sends it.
func podOf(size int) string {
	const container = `{"name":"c","image":"ghcr.io/org/app:v1","imagePullPolicy":"IfNotPresent","resources":{"limits":{"cpu":"1","memory":"64Mi"}},` +
		`"env":[{"name":"A","value":"some value"}],"terminationMessagePath":"/dev/termination-log"}`
	const head, tail = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"prod","labels":{"app":"web"}},"spec":{"serviceAccountName":"robot","containers":[`, `]}}`
	n := (size-len(head)-len(tail))/(len(container)+1) + 1
	return head + strings.TrimSuffix(strings.Repeat(container+",", n), ",") + tail
}
