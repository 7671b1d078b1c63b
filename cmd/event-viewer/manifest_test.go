package main

import (
	"maps"
	"os"
	"reflect"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

// The manifest's parts fit together, and to the program.
func TestTheManifestFits(t *testing.T) {
	t.Parallel()
	var deployment appsv1.Deployment
	var service corev1.Service
	var policy networkingv1.NetworkPolicy
	objects := map[string]any{"Deployment": &deployment, "Service": &service, "NetworkPolicy": &policy}
	text, err := os.ReadFile("../../config/optional/event-viewer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := config.EachDocument(text, func(document []byte) error {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return err
		}
		return yaml.UnmarshalStrict(document, objects[kind.Kind])
	}); err != nil {
		t.Fatal(err)
	}
	pod := deployment.Spec.Template
	container := pod.Spec.Containers[0]
	for what, selector := range map[string]map[string]string{
		"deployment": deployment.Spec.Selector.MatchLabels, "service": service.Spec.Selector, "policy": policy.Spec.PodSelector.MatchLabels,
	} {
		if !maps.Equal(selector, pod.Labels) {
			t.Errorf("%s: %v, want %v", what, selector, pod.Labels)
		}
	}
	for what, port := range map[string]string{
		"service": service.Spec.Ports[0].TargetPort.StrVal, "policy": policy.Spec.Ingress[0].Ports[0].Port.StrVal,
		"liveness": container.LivenessProbe.HTTPGet.Port.StrVal, "readiness": container.ReadinessProbe.HTTPGet.Port.StrVal,
	} {
		if port != container.Ports[0].Name {
			t.Errorf("%s: port %q, want %q", what, port, container.Ports[0].Name)
		}
	}
	known := []string{"GOMEMLIMIT"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[environment]()) {
		known = append(known, field.Tag.Get("envconfig"))
	}
	for _, variable := range container.Env {
		if !slices.Contains(known, variable.Name) {
			t.Errorf("the program does not know %s", variable.Name)
		}
	}
	var webhook appsv1.Deployment
	text, err = os.ReadFile("../../config/600-deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &webhook); err != nil {
		t.Fatal(err)
	}
	if from := policy.Spec.Ingress[0].From; len(from) != 1 || !maps.Equal(from[0].PodSelector.MatchLabels, webhook.Spec.Template.Labels) {
		t.Errorf("the webhook is not let in: %v", from)
	}
	// It is as hardened as the webhook.
	if want := webhook.Spec.Template.Spec; !reflect.DeepEqual(pod.Spec.SecurityContext, want.SecurityContext) || !reflect.DeepEqual(container.SecurityContext, want.Containers[0].SecurityContext) {
		t.Errorf("%v, %v", pod.Spec.SecurityContext, container.SecurityContext)
	}
}
