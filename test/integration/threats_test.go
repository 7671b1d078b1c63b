//go:build integration

package integration

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// What holds for Deployments and Pods holds for kinds that are listed in
// config-workloads: T6 to T9.
func TestAListedKindIsAsSafeAsKubernetesOwn(t *testing.T) {
	const label = "integration-injector-listed"
	client, namespace := anyClient(t), newNamespace(t, map[string]string{label: "true"})
	space := resource{"safe.example.org", "v1", "Workspace", "workspaces"}
	define(t, client, space)
	startInjector(t, label, space.gvr())
	objects := client.Resource(space.gvr()).Namespace(namespace)
	of := func(image string, replicas int64) *unstructured.Unstructured {
		spec := inSpec(image)
		spec["replicas"] = replicas
		return space.newObject(spec)
	}
	store := func(object *unstructured.Unstructured) *unstructured.Unstructured {
		t.Helper()
		stored, err := objects.Create(t.Context(), object, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return stored
	}
	clustertest.Within(t, patience, func(ctx context.Context) error { // the API server is at work on what was defined
		object := of(signed.String(), 0)
		object.SetAnnotations(map[string]string{injectFirst: signed.String()})
		got, err := objects.Create(ctx, object, dryRun())
		if err == nil && len(allImages(got)) < 2 {
			err = errors.New("the injector is not called yet")
		}
		return err
	})
	held := of(unsigned.String(), 0)
	held.SetFinalizers([]string{"example.com/held"})
	older, deleting := store(of(unsigned.String(), 0)), store(held)
	t.Cleanup(func() { // the namespace could not go otherwise
		_, _ = objects.Patch(context.Background(), deleting.GetName(), types.MergePatchType, withoutFinalizers, metav1.PatchOptions{})
	})
	configure(t, base.set(workloadsName, "workloads", "[{group: safe.example.org, version: v1, kind: Workspace, paths: [spec]}]"))
	clustertest.Within(t, promised, func(ctx context.Context) error {
		_, err := objects.Create(ctx, of(unsigned.String(), 1), dryRun())
		return clustertest.Denied(err, "NoSignature")
	})
	patch := func(name, text string, subresources ...string) error {
		_, err := objects.Patch(t.Context(), name, types.MergePatchType, []byte(text), metav1.PatchOptions{}, subresources...)
		return err
	}

	t.Run("T6: what is being deleted is denied another image, and nothing else", func(t *testing.T) {
		if err := objects.Delete(t.Context(), deleting.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		wantDenied(t, patch(deleting.GetName(), `{"spec":{"containers":[{"name":"c","image":"`+foreign.String()+`"}]}}`), "UntrustedSigner")
		wantDenied(t, patch(deleting.GetName(), `{"metadata":{"finalizers":null},"spec":{"containers":[{"name":"c","image":"`+foreign.String()+`"}]}}`), "UntrustedSigner")
		for _, text := range []string{string(labelPatch), string(withoutFinalizers)} {
			if err := patch(deleting.GetName(), text); err != nil {
				t.Error(err)
			}
		}
		if _, err := objects.Get(t.Context(), deleting.GetName(), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("it is still there (%v)", err)
		}
	})
	t.Run("T7: it is denied without replicas, and so are its Pods when it is scaled up", func(t *testing.T) {
		_, err := objects.Create(t.Context(), of(unsigned.String(), 0), metav1.CreateOptions{})
		wantDenied(t, err, "spec.containers[0].image "+unsigned.String(), "NoSignature")
		if err := patch(older.GetName(), `{"spec":{"replicas":1}}`, "scale"); err != nil {
			t.Error(err)
		}
		pod := newPod("child-", unsigned.String())
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(older, older.GroupVersionKind())}
		_, err = cluster.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
		wantDenied(t, err, "NoSignature")
	})
	t.Run("T8: its ephemeral containers are verified, and no subresource brings images in", func(t *testing.T) {
		for image, want := range map[string]string{signed.String(): signed.Pinned(), unsigned.String(): ""} {
			object := of(signed.String(), 1)
			object.Object["spec"].(map[string]any)["ephemeralContainers"] = []any{map[string]any{"name": "debug", "image": image}}
			got, err := objects.Create(t.Context(), object, metav1.CreateOptions{})
			if want == "" {
				wantDenied(t, err, "spec.ephemeralContainers[0].image "+image, "NoSignature")
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if all := allImages(got); len(all) != 2 || all[0] != want || all[1] != want {
				t.Errorf("stored with %q, want %s", all, want)
			}
		}
		for _, subresource := range []string{"status", "scale"} {
			if err := patch(older.GetName(), `{"spec":{"replicas":2,"containers":[{"name":"c","image":"`+foreign.String()+`"}]},"status":{"replicas":1}}`, subresource); err != nil {
				t.Errorf("%s: %v", subresource, err)
			}
		}
		got, err := objects.Get(t.Context(), older.GetName(), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if all := allImages(got); len(all) != 1 || all[0] != unsigned.String() {
			t.Errorf("it has %q", all)
		}
	})
	t.Run("T9: what another webhook injects is verified", func(t *testing.T) {
		inject := func(annotations map[string]string) (*unstructured.Unstructured, error) {
			object := of(signed.String(), 1)
			object.SetAnnotations(annotations)
			return objects.Create(t.Context(), object, metav1.CreateOptions{})
		}
		got, err := inject(map[string]string{injectFirst: signed.String()})
		if err != nil {
			t.Fatal(err)
		}
		if all := allImages(got); len(all) != 2 || all[0] != signed.Pinned() || all[1] != signed.Pinned() {
			t.Errorf("stored with %q, want twice %s", all, signed.Pinned())
		}
		_, err = inject(map[string]string{injectFirst: unsigned.String()})
		wantDenied(t, err, `"mutate.connaisseur.`, "spec.containers[1].image "+unsigned.String(), "NoSignature")
		_, err = inject(map[string]string{injectFirst: signed.String(), injectAgain: unsigned.String()})
		wantDenied(t, err, `"validate.connaisseur.`, "spec.containers[2].image "+unsigned.String(), "NoSignature")
		_, err = inject(map[string]string{injectFirst: signed.String(), rewrite: unsigned.ByDigest()})
		wantDenied(t, err, `"validate.connaisseur.`, "spec.containers[0].image "+unsigned.ByDigest(), "NoSignature")
	})
}

// allImages are those of the containers of an object that has them as a Pod has.
func allImages(object *unstructured.Unstructured) (images []string) {
	for _, list := range []string{"containers", "ephemeralContainers"} {
		containers, _, _ := unstructured.NestedSlice(object.Object, "spec", list)
		for _, c := range containers {
			image, _, _ := unstructured.NestedString(c.(map[string]any), "image")
			images = append(images, image)
		}
	}
	return images
}
