//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// What was verified is what a kubelet pulls and runs, whatever becomes of the tag.
func TestWhatWasVerifiedIsWhatRuns(t *testing.T) {
	image, err := build(t.Context(), "moving")
	if err != nil {
		t.Fatal(err)
	}
	if err := sign(t.Context(), "ours", image); err != nil {
		t.Fatal(err)
	}
	namespace := newNamespace(t)
	deployments := cluster.AppsV1().Deployments(namespace)
	labels, one := map[string]string{"app": "moving"}, int32(1)
	pod := newPod("", image.String())
	if _, err := deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "moving"},
		Spec: appsv1.DeploymentSpec{
			Replicas: &one,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	first := running(t, namespace, image, 1)[0]

	move(t, "moving", unsigned)
	// Who asks for the tag gets what is signed, as long as that is remembered, or is
	// refused.
	clustertest.Within(t, patience, func(ctx context.Context) error {
		got, err := try(ctx, namespace, "late", image.String())
		if err == nil && got != image.pinned() {
			t.Fatalf("the tag leads to %s", got)
		}
		return clustertest.Denied(err, "NoSignature")
	})
	// The Deployment has the digest, and goes on with it.
	kubectl(t, "-n", namespace, "scale", "deployment/moving", "--replicas=2")
	for _, pod := range running(t, namespace, image, 2) {
		if pod.UID == first.UID {
			if count := pod.Status.ContainerStatuses[0].RestartCount; count != 0 {
				t.Errorf("the Pod that ran was restarted %d times", count)
			}
			return
		}
	}
	t.Error("the Pod that ran was replaced")
}

// running waits for so many Pods that run the image that was verified.
func running(t *testing.T, namespace string, image builtImage, count int) (pods []corev1.Pod) {
	t.Helper()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		list, err := cluster.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) != count {
			return fmt.Errorf("%d Pods, not %d", len(list.Items), count)
		}
		for _, pod := range list.Items {
			if pod.Status.Phase != corev1.PodRunning {
				return fmt.Errorf("%s is %s", pod.Name, pod.Status.Phase)
			}
		}
		pods = list.Items
		return nil
	})
	for _, pod := range pods {
		if got := pod.Spec.Containers[0].Image; got != image.pinned() {
			t.Errorf("%s is to run %s, not %s", pod.Name, got, image.pinned())
		}
		if got := pod.Status.ContainerStatuses[0].ImageID; !strings.HasSuffix(got, "@"+image.digest) {
			t.Errorf("%s runs %s, not %s", pod.Name, got, image.digest)
		}
	}
	return pods
}
