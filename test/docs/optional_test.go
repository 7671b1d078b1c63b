package docs

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The autoscaler counts CPU by what the Deployment requests, and begins where that
// does.
func TestTheAutoscalerIsForTheDeployment(t *testing.T) {
	t.Parallel()
	var scaler autoscalingv2.HorizontalPodAutoscaler
	var deployment appsv1.Deployment
	for name, into := range map[string]any{"config/optional/horizontalpodautoscaler.yaml": &scaler, "config/600-deployment.yaml": &deployment} {
		if err := yaml.UnmarshalStrict([]byte(read(t, name)), into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	target := scaler.Spec.ScaleTargetRef
	if target.APIVersion != deployment.APIVersion || target.Kind != deployment.Kind || target.Name != deployment.Name || scaler.Namespace != deployment.Namespace {
		t.Errorf("it scales %s %s %s/%s", target.APIVersion, target.Kind, scaler.Namespace, target.Name)
	}
	if *scaler.Spec.MinReplicas != *deployment.Spec.Replicas || scaler.Spec.MaxReplicas <= *scaler.Spec.MinReplicas {
		t.Errorf("from %d to %d, and not from %d", *scaler.Spec.MinReplicas, scaler.Spec.MaxReplicas, *deployment.Spec.Replicas)
	}
	for _, container := range deployment.Spec.Template.Spec.Containers {
		requested, limit := container.Resources.Requests[corev1.ResourceCPU], container.Resources.Limits[corev1.ResourceCPU]
		used := requested.MilliValue() * int64(*scaler.Spec.Metrics[0].Resource.Target.AverageUtilization) / 100
		if requested.IsZero() || used >= limit.MilliValue() {
			t.Errorf("container %s: it scales at %dm of %s", container.Name, used, limit.String())
		}
	}
}
