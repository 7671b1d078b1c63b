package docs

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
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

// What the Knative Service differs in from the Deployment is what it must.
func TestTheKnativeServiceIsLikeTheDeployment(t *testing.T) {
	t.Parallel()
	var service struct {
		Spec struct {
			Template struct {
				metav1.ObjectMeta `json:"metadata"`
				Spec              corev1.PodSpec `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	var deployment appsv1.Deployment
	text, _, _ := strings.Cut(read(t, "config/optional/knative-service.yaml"), "\n---\n")
	if err := errors.Join(yaml.Unmarshal([]byte(text), &service), yaml.Unmarshal([]byte(read(t, "config/600-deployment.yaml")), &deployment)); err != nil {
		t.Fatal(err)
	}
	if got, want := service.Spec.Template.Labels, deployment.Spec.Template.Labels; !maps.Equal(got, want) {
		t.Errorf("its Pods' labels are %v, not %v", got, want)
	}
	got, want := service.Spec.Template.Spec, deployment.Spec.Template.Spec
	// Knative looks after these.
	want.TerminationGracePeriodSeconds, want.Affinity = nil, nil
	// It allows them for containers only, where they are set too.
	want.SecurityContext = nil
	web, original := &got.Containers[0], &want.Containers[0]
	web.Env = slices.DeleteFunc(web.Env, func(e corev1.EnvVar) bool {
		return slices.Contains([]string{"QUEUE_PROXY_URL", "METRICS_PROMETHEUS_PORT"}, e.Name)
	})
	// Only the queue-proxy's port may be named, so that the others are numbers, and
	// that one is where Knative has the kubelet ask whether the process lives.
	original.ReadinessProbe.HTTPGet.Port, original.LivenessProbe.HTTPGet.Port = intstr.FromInt32(8080), intstr.FromInt32(8081)
	web.Ports, original.Ports = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-Deployment +Knative Service:\n%s", diff)
	}
}
