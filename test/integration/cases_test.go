//go:build integration

package integration

import (
	"context"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/workloadtest"
)

// A cluster with Knative, as it defines its kinds, and with kinds of Argo's and
// Tekton's names: what becomes of their objects, and of Kubernetes' own, is what
// becomes of them in the tests without a cluster.
func TestEveryCaseOnARealAPIServer(t *testing.T) {
	client, namespace := anyClient(t), newNamespace(t, nil)
	defineKnative(t, client)
	defined := map[schema.GroupVersionKind]bool{}
	for _, c := range workloadtest.Cases(t) {
		if r := resourceOf(c); !defined[c.Kind()] && !isKubernetesOwn(r.group) && r.group != servingGroup {
			defined[c.Kind()] = true
			define(t, client, r)
		}
	}
	battery := resource{"example.org", "v1", "Battery", "batteries"} // the last one listed
	last := func(ctx context.Context) error {
		_, err := client.Resource(battery.gvr()).Namespace(namespace).Create(ctx, battery.newObject(map[string]any{"pod": inSpec(unsigned.String())}), dryRun())
		return err
	}
	clustertest.Within(t, patience, last) // the API server is at work on what was defined
	configure(t, base.with(workloadtest.Rules).set(workloadsName, "workloads", workloadtest.Workloads))
	clustertest.Within(t, promised, func(ctx context.Context) error {
		return clustertest.Denied(last(ctx), "spec.pod.containers[0].image", "NoSignature")
	})
	t.Run("cases", func(t *testing.T) { // which end before the configuration does
		for _, c := range workloadtest.Cases(t) {
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				objects := client.Resource(resourceOf(c).gvr()).Namespace(namespace)
				if !c.Valid() {
					_, err := store(t, objects, c, c.With(t, signed.String(), nil), metav1.CreateOptions{})
					wantDenied(t, err, c.Images[0].Field+" ", "InvalidReference")
					return
				}
				for _, options := range []metav1.CreateOptions{dryRun(), {}} {
					got, err := store(t, objects, c, c.With(t, signed.String(), nil), options)
					if err != nil {
						t.Fatal(err)
					}
					wantImages(t, c, got)
					for _, img := range c.Images {
						_, err := store(t, objects, c, c.With(t, signed.String(), map[string]string{img.Field: unsigned.String()}), options)
						wantDenied(t, err, img.Field+" "+unsigned.String()+": ", "NoSignature")
					}
				}
				if _, err := store(t, objects, c, c.With(t, signed.ByDigest(), nil), dryRun()); err != nil {
					t.Errorf("by digest, as Knative has it: %v", err)
				}
			})
		}
		for _, r := range workloadtest.Requests(t, signed, unsigned) {
			if !r.Plain() {
				continue
			}
			t.Run(r.Name, func(t *testing.T) {
				t.Parallel()
				object := &unstructured.Unstructured{Object: r.Object}
				plural, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
				got, err := client.Resource(plural).Namespace(namespace).Create(t.Context(), object, dryRun())
				if len(r.Denied) > 0 {
					wantDenied(t, err, r.Denied...)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(images(r.Stored(t)), images(got.Object)); diff != "" {
					t.Errorf("the images (-want +got):\n%s", diff)
				}
			})
		}
	})
}

// images are all strings of an object's fields of the name image, by path.
func images(value any) map[string]string {
	found := map[string]string{}
	var walk func(at string, value any)
	walk = func(at string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, v := range value {
				walk(at+"/"+key, v)
			}
		case []any:
			for i, v := range value {
				walk(fmt.Sprintf("%s/%d", at, i), v)
			}
		case string:
			if path.Base(at) == "image" {
				found[at] = value
			}
		}
	}
	walk("", value)
	return found
}

func isKubernetesOwn(group string) bool { return group == "" || group == "apps" || group == "batch" }

func resourceOf(c workloadtest.Case) resource {
	kind := c.Kind()
	plural, _ := meta.UnsafeGuessKindToResource(kind)
	return resource{kind.Group, kind.Version, kind.Kind, plural.Resource}
}

// store creates a case's object, or brings what is special about it in by its
// subresource.
func store(t *testing.T, objects dynamic.ResourceInterface, c workloadtest.Case, object *unstructured.Unstructured, options metav1.CreateOptions) (*unstructured.Unstructured, error) {
	t.Helper()
	if c.Subresource == "" {
		return objects.Create(t.Context(), object, options)
	}
	special, _, err := unstructured.NestedSlice(object.Object, "spec", c.Subresource)
	if err != nil || len(special) == 0 {
		t.Fatalf("the object has no %s: %v", c.Subresource, err)
	}
	unstructured.RemoveNestedField(object.Object, "spec", c.Subresource)
	created, err := objects.Create(t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	var updated *unstructured.Unstructured
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error { // with the scheduler
		current, err := objects.Get(t.Context(), created.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		if err := unstructured.SetNestedSlice(current.Object, special, "spec", c.Subresource); err != nil {
			return err
		}
		updated, err = objects.Update(t.Context(), current, metav1.UpdateOptions{DryRun: options.DryRun}, strings.ToLower(c.Subresource))
		return err
	})
	return updated, err
}

// wantImages has what is stored compared with what a case expects of signed images.
func wantImages(t *testing.T, c workloadtest.Case, got *unstructured.Unstructured) {
	t.Helper()
	for _, img := range c.Images {
		want := signed.String()
		if img.Becomes == workloadtest.Pinned {
			want = signed.Pinned()
		}
		if image, err := img.At(got.Object); err != nil || image != want {
			t.Errorf("%s is %v, want %s (%v)", img.Field, image, want, err)
		}
	}
}

// T6: what was stored before its kind was listed can be deleted, finalizers and
// all, whatever stands in it.
func TestWhatIsOlderThanItsKindsListingCanBeDeleted(t *testing.T) {
	client, namespace := anyClient(t), newNamespace(t, nil)
	widget := resource{"older.example.org", "v1", "Widget", "widgets"}
	define(t, client, widget)
	objects := client.Resource(widget.gvr()).Namespace(namespace)
	object := widget.newObject(map[string]any{"image": int64(42)})
	object.SetFinalizers([]string{"example.org/test"})
	stored, err := objects.Create(t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	configure(t, base.set(workloadsName, "workloads", "[{group: older.example.org, version: v1, kind: Widget, paths: [spec.image]}]"))
	clustertest.Within(t, promised, func(ctx context.Context) error {
		_, err := objects.Create(ctx, widget.newObject(map[string]any{"image": int64(42)}), dryRun())
		return clustertest.Denied(err, "spec.image (a number, where an image or a pod spec must be)", "InvalidReference")
	})
	if err := objects.Delete(t.Context(), stored.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deleting, err := objects.Get(t.Context(), stored.GetName(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	deleting.SetFinalizers(nil)
	if _, err := objects.Update(t.Context(), deleting, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}
