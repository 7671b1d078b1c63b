//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

var labelPatch = []byte(`{"metadata":{"labels":{"touched":"true"}}}`)

// imagePatch changes the image of a Deployment's container.
func imagePatch(image string) []byte {
	return fmt.Appendf(nil, `{"spec":{"template":{"spec":{"containers":[{"name":"c0","image":%q}]}}}}`, image)
}

func TestAnObjectFromBeforeThePolicy(t *testing.T) {
	namespace := newNamespace(t, nil)
	trusted, offline, bad := newSigned(t), newSigned(t), newUnsigned(t)
	letThrough(t, trusted, offline, bad)
	deployments, jobs, sets := cluster.AppsV1().Deployments(namespace), cluster.BatchV1().Jobs(namespace), cluster.AppsV1().ReplicaSets(namespace)
	create(t, deployments.Create, newDeployment("trusted", 0, trusted.String()))
	create(t, deployments.Create, newDeployment("offline", 0, offline.String()))
	create(t, deployments.Create, newDeployment("bad", 0, bad.String()))
	create(t, jobs.Create, newJob("job", trusted.String()))
	create(t, sets.Create, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Name: "bad"}, Spec: appsv1.ReplicaSetSpec{
		Replicas: ptr.To(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: podLabels}, Template: template(podSpec(bad.String())),
	}})
	verifyAgain(t, trusted, offline, bad)

	t.Run("keeps its reference when it gets a label", func(t *testing.T) {
		got, err := deployments.Patch(t.Context(), "trusted", types.StrategicMergePatchType, labelPatch, metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if image := got.Spec.Template.Spec.Containers[0].Image; image != trusted.String() || got.Generation != 1 {
			t.Errorf("generation %d with image %s, want 1 with %s", got.Generation, image, trusted)
		}
	})
	t.Run("keeps its immutable template when it is a Job", func(t *testing.T) {
		got, err := jobs.Patch(t.Context(), "job", types.StrategicMergePatchType, labelPatch, metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if image := got.Spec.Template.Spec.Containers[0].Image; image != trusted.String() {
			t.Errorf("the image is %s, want %s", image, trusted)
		}
	})
	t.Run("is admitted with a warning while the registry is down", func(t *testing.T) {
		breakDown(t, offline, registrytest.Fault{Answer: registrytest.HangUp()})
		client, heard := attentive(t)
		got, err := client.AppsV1().Deployments(namespace).Patch(t.Context(), "offline", types.StrategicMergePatchType, labelPatch, metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(heard.about("unchanged and therefore admitted", offline.String(), "RegistryUnavailable")) == 0 {
			t.Errorf("no warning about it, but: %q", heard.texts)
		}
		if got.Labels["touched"] != "true" || got.Generation != 1 {
			t.Errorf("stored with labels %v and generation %d", got.Labels, got.Generation)
		}
	})
	t.Run("is denied a label if its image is known to be unsigned", func(t *testing.T) {
		_, err := deployments.Patch(t.Context(), "bad", types.StrategicMergePatchType, labelPatch, metav1.PatchOptions{})
		wantDenied(t, err, "Unable to find signed digest for image "+bad.String())
	})
	t.Run("gets no Pods when it is scaled up from nothing (T7)", func(t *testing.T) {
		scaleUp(t, sets, "bad")
		clustertest.Within(t, patience, func(ctx context.Context) error {
			events, err := cluster.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
			if err != nil {
				return err
			}
			for _, e := range events.Items {
				if lacks(e.Message, []string{"Unable to find signed digest for image " + bad.String()}) == "" {
					return nil
				}
			}
			return fmt.Errorf("no event that a Pod was denied: %v", events.Items)
		})
	})
}

func TestAnUpdate(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, nil)
	deployments, jobs := cluster.AppsV1().Deployments(namespace), cluster.BatchV1().Jobs(namespace)
	create(t, deployments.Create, newDeployment("web", 0, signed.String()))

	faults := []struct {
		name   string
		answer http.HandlerFunc
		reason string
	}{
		{"hangs up", registrytest.HangUp(), "RegistryUnavailable"},
		{"is out of order", registrytest.Status(http.StatusServiceUnavailable), "RegistryUnavailable"},
	}
	for _, f := range faults {
		t.Run("to an image whose registry "+f.name+" is denied", func(t *testing.T) {
			image := newSigned(t)
			repair := breakDown(t, image, registrytest.Fault{Answer: f.answer})
			_, err := deployments.Patch(t.Context(), "web", types.StrategicMergePatchType, imagePatch(image.String()), metav1.PatchOptions{})
			wantDenied(t, err, f.reason, "could not be checked")
			repair()
			got, err := deployments.Patch(t.Context(), "web", types.StrategicMergePatchType, imagePatch(image.String()), metav1.PatchOptions{})
			if err != nil {
				t.Fatalf("the registry is back: %v", err)
			}
			if stored := got.Spec.Template.Spec.Containers[0].Image; stored != image.Pinned() {
				t.Errorf("stored as %s, want %s", stored, image.Pinned())
			}
		})
	}
	t.Run("to an unsigned image is denied", func(t *testing.T) {
		_, err := deployments.Patch(t.Context(), "web", types.StrategicMergePatchType, imagePatch(unsigned.String()), metav1.PatchOptions{})
		wantDenied(t, err, "NoSignature")
	})
	t.Run("of a Job leaves its immutable template alone", func(t *testing.T) {
		create(t, jobs.Create, newJob("job", signed.String()))
		got, err := jobs.Patch(t.Context(), "job", types.StrategicMergePatchType, []byte(`{"metadata":{"labels":{"touched":"true"}},"spec":{"suspend":false}}`), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if image := got.Spec.Template.Spec.Containers[0].Image; image != signed.Pinned() {
			t.Errorf("the image is %s, want %s", image, signed.Pinned())
		}
	})
}

func TestAnUnsignedDeploymentIsDeniedAlthoughItHasNoReplicas(t *testing.T) { // T7
	t.Parallel()
	_, err := cluster.AppsV1().Deployments(newNamespace(t, nil)).Create(t.Context(), newDeployment("unsigned", 0, unsigned.String()), metav1.CreateOptions{})
	wantDenied(t, err, "NoSignature")
}

// scalable are the clients of kinds that have replicas.
type scalable interface {
	GetScale(ctx context.Context, name string, options metav1.GetOptions) (*autoscalingv1.Scale, error)
	UpdateScale(ctx context.Context, name string, scale *autoscalingv1.Scale, options metav1.UpdateOptions) (*autoscalingv1.Scale, error)
}

// scaleUp has an object run one Pod.
func scaleUp(t *testing.T, client scalable, name string) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		scale, err := client.GetScale(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		scale.Spec.Replicas = 1
		_, err = client.UpdateScale(t.Context(), name, scale, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantPod waits for a Pod that runs the image.
func wantPod(t *testing.T, namespace, image string) {
	t.Helper()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		pods, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		switch {
		case err != nil:
			return err
		case len(pods.Items) == 0:
			return errors.New("there is no Pod")
		case pods.Items[0].Spec.Containers[0].Image != image:
			return fmt.Errorf("the Pod runs %s, not %s", pods.Items[0].Spec.Containers[0].Image, image)
		}
		return nil
	})
}
