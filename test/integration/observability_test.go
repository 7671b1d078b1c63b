//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// imageEvents are those of a namespace about images.
func imageEvents(ctx context.Context, namespace string) (events []corev1.Event, err error) {
	list, err := cluster.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, e := range list.Items {
		if e.Source.Component == "connaisseur" {
			events = append(events, e)
		}
	}
	return events, nil
}

// wantImageEvent waits for the one event of a namespace.
func wantImageEvent(t *testing.T, namespace, reason string, about corev1.ObjectReference, texts ...string) {
	t.Helper()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		events, err := imageEvents(ctx, namespace)
		switch {
		case err != nil:
			return err
		case len(events) != 1 || events[0].Count > 1:
			return fmt.Errorf("%d events: %v", len(events), events)
		}
		got := events[0]
		if lacking := lacks(got.Message, texts); got.Reason != reason || got.Type != corev1.EventTypeWarning || got.InvolvedObject != about || lacking != "" {
			return fmt.Errorf("%s %s about %+v lacks %q: %s", got.Type, got.Reason, got.InvolvedObject, lacking, got.Message)
		}
		return nil
	})
}

func TestADenialIsAnEventOfItsNamespace(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, nil)
	pod := newPod("", unsigned.String())
	pod.Name = "web"
	_, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	wantDenied(t, err, "NoSignature")
	wantImageEvent(t, namespace, "ImageDenied", corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: namespace, Name: "web"}, "Pod web: 1 of 1 images must not run", "NoSignature")
}

// kubectl describe replicaset looks for the events of the very object.
func TestADeniedPodIsAnEventOfItsReplicaSet(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, nil)
	deployment, err := cluster.AppsV1().Deployments(namespace).Create(t.Context(), newDeployment("web", 0, signed.String()), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod := newPod("web-", unsigned.String())
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: deployment.Name, UID: deployment.UID, Controller: ptr.To(true)}}
	_, err = cluster.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	wantDenied(t, err, "NoSignature")
	wantImageEvent(t, namespace, "ImageDenied", corev1.ObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Namespace: namespace, Name: "web", UID: deployment.UID}, "Pod web-", "NoSignature")
}

// values reads what the webhook tells Prometheus, summed over labels that are
// not asked for.
func (w webhook) values(ctx context.Context, name, label string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.metrics, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	found := false
	for _, match := range regexp.MustCompile(`(?m)^`+name+`(?:\{(.*)\})? (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(match[1], label) {
			continue
		}
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			return 0, err
		}
		found, sum = true, sum+value
	}
	if !found {
		return 0, fmt.Errorf("no %s{%s} is served", name, label)
	}
	return sum, nil
}

func TestARunningWebhookServesItsMetrics(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, nil)
	_, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), newPod("web-", newUnsigned(t).String()), metav1.CreateOptions{})
	wantDenied(t, err, "NoSignature")
	if _, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), newPod("web-", newSigned(t).String()), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, m := range [][2]string{
		{"connaisseur_admissions_total", `outcome="Denied",reason="NoSignature",webhook="/mutate"`},
		{"connaisseur_admission_duration_seconds_count", `webhook="/validate"`},
		{"connaisseur_images_total", `validator="cosign"`},
		{"connaisseur_image_duration_seconds_count", `cache="hit"`},
		{"connaisseur_cache_requests_total", `result="miss"`},
		{"connaisseur_cache_entries", ""},
		{"connaisseur_cache_size_bytes", ""},
		{"connaisseur_registry_requests_total", `host="` + reg.Host() + `",kind="manifests"`},
		{"connaisseur_registry_request_duration_seconds_count", `host="` + reg.Host() + `"`},
		{"connaisseur_config_info", `revision="`},
		{"connaisseur_config_age_seconds", ""},
		{"connaisseur_config_last_reload_timestamp_seconds", ""},
		{"connaisseur_config_reloads_total", `result="applied"`},
		{"connaisseur_requests_total", ""},
		{"connaisseur_requests_admitted_total", ""},
		{"connaisseur_requests_denied_total", `timeout="false"`},
		{"connaisseur_validations_total", `result="success",type="cosign"`},
		{"connaisseur_validations_failed_total", `type="cosign"`},
		{"go_goroutines", ""},
		{"process_resident_memory_bytes", ""},
	} {
		if value, err := hook.values(t.Context(), m[0], m[1]); err != nil || value <= 0 {
			t.Errorf("%s{%s} is %v, %v", m[0], m[1], value, err)
		}
	}
	ends, err := hook.values(t.Context(), "connaisseur_webhook_certificate_expiry_timestamp_seconds", "")
	if left := time.Until(time.Unix(int64(ends), 0)); err != nil || left < 20*24*time.Hour || left > 30*24*time.Hour {
		t.Errorf("the certificate expires in %v, %v", left, err)
	}
}
