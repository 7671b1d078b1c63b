//go:build integration

package integration

import (
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

// The namespace holds its Pods to the restricted Pod Security Standard.
func TestTheEventViewerMayRunInOurNamespace(t *testing.T) {
	text, err := os.ReadFile("../../config/optional/event-viewer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	err = config.EachDocument(text, func(document []byte) error {
		var deployment appsv1.Deployment
		if err := yaml.Unmarshal(document, &deployment); err != nil || deployment.Kind != "Deployment" {
			return err
		}
		tried++
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "event-viewer-"}, Spec: deployment.Spec.Template.Spec}
		pods, dryRun := cluster.CoreV1().Pods(ownNamespace), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
		if _, err := pods.Create(t.Context(), pod, dryRun); err != nil {
			return err
		}
		pod.Spec.Containers[0].SecurityContext = nil
		if _, err := pods.Create(t.Context(), pod, dryRun); err == nil {
			t.Error("the namespace takes any Pod")
		}
		return nil
	})
	if err != nil || tried != 1 {
		t.Errorf("%d Pods: %v", tried, err)
	}
}
