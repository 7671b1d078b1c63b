//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// What the injector is to do with a Pod stands in these annotations, each an
// image.
const (
	injectFirst = "inject-first" // a sidecar, when it is called first
	injectAgain = "inject-again" // a second sidecar, when it is called again
	rewrite     = "rewrite"      // the image of the first container, when it is called again
)

type jsonPatch struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// inject is the mutating webhook of somebody else.
func inject(w http.ResponseWriter, r *http.Request) {
	var review admissionv1.AdmissionReview
	var pod corev1.Pod
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || json.Unmarshal(review.Request.Object.Raw, &pod) != nil {
		http.Error(w, "not a review of a Pod", http.StatusBadRequest)
		return
	}
	var patch []jsonPatch
	sidecar := func(name, annotation string) {
		if image := pod.Annotations[annotation]; image != "" {
			patch = append(patch, jsonPatch{"add", "/spec/containers/-", corev1.Container{Name: name, Image: image}})
		}
	}
	switch len(pod.Spec.Containers) {
	case 1:
		sidecar("first", injectFirst)
	case 2:
		sidecar("again", injectAgain)
		if image := pod.Annotations[rewrite]; image != "" {
			patch = append(patch, jsonPatch{"replace", "/spec/containers/0/image", image})
		}
	}
	review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	if len(patch) > 0 {
		review.Response.Patch, _ = json.Marshal(patch)
		review.Response.PatchType = ptr.To(admissionv1.PatchTypeJSONPatch)
	}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}

// startInjector registers the injector for the namespaces with a label, to be
// called after our mutating webhook, for Pods or what looks like them.
func startInjector(t *testing.T, label string, gvr schema.GroupVersionResource) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(inject))
	t.Cleanup(server.Close)
	registrations := cluster.AdmissionregistrationV1().MutatingWebhookConfigurations()
	made := create(t, registrations.Create, &admissionregistrationv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "zz-injector-"},
		Webhooks: []admissionregistrationv1.MutatingWebhook{{
			Name: "injector.example.com",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL:      &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{gvr.Group}, APIVersions: []string{gvr.Version}, Resources: []string{gvr.Resource}},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{label: "true"}},
			ReinvocationPolicy:      ptr.To(admissionregistrationv1.IfNeededReinvocationPolicy),
			SideEffects:             ptr.To(admissionregistrationv1.SideEffectClassNone),
			AdmissionReviewVersions: []string{"v1"},
		}},
	})
	t.Cleanup(func() {
		if err := registrations.Delete(context.Background(), made.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// T9
func TestWhatAnotherWebhookInjectsIsVerified(t *testing.T) {
	t.Parallel()
	const label = "integration-injector"
	namespace := newNamespace(t, map[string]string{label: "true"})
	startInjector(t, label, corev1.SchemeGroupVersion.WithResource("pods"))
	pods := cluster.CoreV1().Pods(namespace)
	run := func(ctx context.Context, name string, annotations map[string]string, options metav1.CreateOptions) (*corev1.Pod, error) {
		pod := newPod("", signed.String())
		pod.Name, pod.Annotations = name, annotations
		return pods.Create(ctx, pod, options)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		pod, err := run(ctx, "try", map[string]string{injectFirst: signed.String()}, dryRun())
		if err == nil && len(pod.Spec.Containers) == 1 {
			err = errors.New("the injector is not called yet")
		}
		return err
	})

	t.Run("a signed sidecar that comes late is pinned", func(t *testing.T) {
		pod, err := run(t.Context(), "late-signed", map[string]string{injectFirst: signed.String()}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range pod.Spec.Containers {
			if c.Image != signed.Pinned() {
				t.Errorf("container %s is stored with %s, want %s", c.Name, c.Image, signed.Pinned())
			}
		}
	})
	const mutating, validating = `"mutate.connaisseur.`, `"validate.connaisseur.`
	refused := []struct {
		name, pod   string
		annotations map[string]string
		want        []string
	}{
		{"an unsigned sidecar that comes late is denied", "late-unsigned",
			map[string]string{injectFirst: unsigned.String()},
			[]string{mutating, "spec.containers[1].image", "Unable to find signed digest for image " + unsigned.String()}},
		{"an unsigned sidecar that comes when nobody is called any more is denied", "last-unsigned",
			map[string]string{injectFirst: signed.String(), injectAgain: unsigned.String()},
			[]string{validating, "spec.containers[2].image", "Unable to find signed digest for image " + unsigned.String()}},
		{"a stranger's sidecar that comes when nobody is called any more is denied", "last-foreign",
			map[string]string{injectFirst: signed.String(), injectAgain: foreign.String()},
			[]string{validating, "spec.containers[2].image", "UntrustedSigner"}},
		{"a signed sidecar that nobody has pinned is denied", "last-signed",
			map[string]string{injectFirst: signed.String(), injectAgain: signed.String()},
			[]string{validating, "spec.containers[2].image", "NotPinned", "it must read " + signed.Pinned()}},
		{"a pinned image that loses its digest is denied", "unpinned",
			map[string]string{injectFirst: signed.String(), rewrite: signed.String()},
			[]string{validating, "spec.containers[0].image", "NotPinned"}},
		{"a pinned image that is exchanged is denied", "exchanged",
			map[string]string{injectFirst: signed.String(), rewrite: unsigned.ByDigest()},
			[]string{validating, "spec.containers[0].image", "NoSignature"}},
	}
	for _, r := range refused {
		t.Run(r.name, func(t *testing.T) {
			_, err := run(t.Context(), r.pod, r.annotations, metav1.CreateOptions{})
			wantDenied(t, err, r.want...)
			if pod, err := pods.Get(t.Context(), r.pod, metav1.GetOptions{}); err == nil {
				t.Errorf("it was stored: %v", pod.Spec.Containers)
			}
		})
	}
}
