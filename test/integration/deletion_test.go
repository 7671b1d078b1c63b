//go:build integration

package integration

import (
	"context"
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// T6: what is being deleted is left in peace, unless it is to run something
// else while finalizers hold it.
func TestAnObjectThatIsBeingDeleted(t *testing.T) {
	namespace := newNamespace(t, nil)
	image := newUnsigned(t)
	letThrough(t, image)
	deployments, pods := cluster.AppsV1().Deployments(namespace), cluster.CoreV1().Pods(namespace)

	deployment := newDeployment("held", 0, image.String())
	deployment.Finalizers = []string{"example.com/held"}
	create(t, deployments.Create, deployment)
	pod := newPod("held-", image.String())
	pod.Finalizers = deployment.Finalizers
	pod = create(t, pods.Create, pod)
	t.Cleanup(func() { // the namespace could not go otherwise
		_, _ = deployments.Patch(context.Background(), "held", types.MergePatchType, withoutFinalizers, metav1.PatchOptions{})
		_, _ = pods.Patch(context.Background(), pod.Name, types.MergePatchType, withoutFinalizers, metav1.PatchOptions{})
	})
	verifyAgain(t, image)
	if err := deployments.Delete(t.Context(), "held", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := pods.Delete(t.Context(), pod.Name, *metav1.NewDeleteOptions(0)); err != nil {
		t.Fatal(err)
	}

	other := newUnsigned(t)
	t.Run("is denied another image that is unsigned", func(t *testing.T) {
		_, err := deployments.Patch(t.Context(), "held", types.StrategicMergePatchType, imagePatch(other.String()), metav1.PatchOptions{})
		wantDenied(t, err, "Unable to find signed digest for image "+other.String())
		_, err = pods.Patch(t.Context(), pod.Name, types.StrategicMergePatchType, []byte(`{"spec":{"containers":[{"name":"c0","image":"`+other.String()+`"}]}}`), metav1.PatchOptions{})
		wantDenied(t, err, "Unable to find signed digest for image "+other.String())
	})
	t.Run("is denied another image together with the end of its finalizers", func(t *testing.T) {
		_, err := pods.Patch(t.Context(), pod.Name, types.StrategicMergePatchType,
			[]byte(`{"metadata":{"finalizers":null},"spec":{"containers":[{"name":"c0","image":"`+other.String()+`"}]}}`), metav1.PatchOptions{})
		wantDenied(t, err, "NoSignature")
	})
	t.Run("can get a label and lose its finalizers, though its image is unsigned", func(t *testing.T) {
		if _, err := deployments.Patch(t.Context(), "held", types.StrategicMergePatchType, labelPatch, metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := deployments.Patch(t.Context(), "held", types.MergePatchType, withoutFinalizers, metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
		if _, err := pods.Patch(t.Context(), pod.Name, types.MergePatchType, withoutFinalizers, metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
		clustertest.Within(t, patience, func(ctx context.Context) error {
			_, err := deployments.Get(ctx, "held", metav1.GetOptions{})
			_, errPod := pods.Get(ctx, pod.Name, metav1.GetOptions{})
			if !apierrors.IsNotFound(err) || !apierrors.IsNotFound(errPod) {
				return errors.New("it is still there")
			}
			return nil
		})
	})
}

var withoutFinalizers = []byte(`{"metadata":{"finalizers":null}}`)
