//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// The variant for those who have Knative Serving, and what README.md says about it.
const (
	variant    = "config/optional/knative-service.yaml"
	superseded = "serving.knative.dev/service=webhook,serving.knative.dev/routingState=reserve"
)

func TestTheWebhookAsAKnativeService(t *testing.T) {
	client := knative(t)
	signAll(t)
	clustertest.Within(t, patience, settled)
	slow := startSlowRegistry(t)
	allowFields(t)
	t.Cleanup(func() { backToDeployment(t, client) })

	load := newStream(t)
	load.warm(t)
	start := time.Now()
	if _, err := command(t.Context(), "ko", "apply", "--sbom=none", "-f", variant); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error { return knativeReady(ctx, client, "services", ownNamespace, "webhook") })
	kubectl(t, "-n", ownNamespace, "delete", "deployment", "webhook", "--cascade=foreground")
	t.Logf("the Deployment's Pods are gone after %v", time.Since(start))
	load.wantAllRight(t)

	t.Run("API servers know the certificate's authority", func(t *testing.T) {
		secret, err := cluster.CoreV1().Secrets(ownNamespace).Get(t.Context(), "connaisseur-webhook-certificate", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		hooks, err := cluster.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), "connaisseur", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := hooks.Webhooks[0].ClientConfig.CABundle; !bytes.Equal(got, secret.Data["ca-cert.pem"]) {
			t.Errorf("the authority is %s", got)
		}
	})
	t.Run("a new Revision takes over", func(t *testing.T) { testNewRevision(t, client) })
	t.Run("there are more replicas while there is much to admit", func(t *testing.T) { testScaling(t, slow) })
	t.Run("it does without Knative", testWithoutKnative)
}

// allowFields has Knative accept what by default it does not.
func allowFields(t *testing.T) {
	t.Helper()
	allow := func(ctx context.Context, value any) error {
		patch, err := json.Marshal(map[string]any{"data": map[string]any{"kubernetes.podspec-priorityclassname": value, "kubernetes.podspec-fieldref": value}})
		if err != nil {
			return err
		}
		_, err = cluster.CoreV1().ConfigMaps(servingNamespace).Patch(ctx, "config-features", types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	}
	if err := allow(t.Context(), "enabled"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := allow(context.Background(), nil); err != nil {
			t.Error(err)
		}
	})
}

// backToDeployment puts the webhook back as it was installed.
func backToDeployment(t *testing.T, client dynamic.Interface) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	_, err := install(ctx)
	gone := client.Resource(servingKind("services")).Namespace(ownNamespace).Delete(ctx, "webhook", metav1.DeleteOptions{})
	if apierrors.IsNotFound(gone) {
		gone = nil
	}
	none := int64(0) // they would take half a minute to end
	rest := cluster.CoreV1().Pods(ownNamespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &none}, metav1.ListOptions{LabelSelector: "serving.knative.dev/service=webhook"})
	if err := errors.Join(err, gone, rest, clustertest.Poll(ctx, patience, settled)); err != nil {
		t.Error(err)
	}
}

// startSlowRegistry starts something by whose name an image takes seconds to be
// decided about, and has the webhook ask it.
func startSlowRegistry(t *testing.T) (host string) {
	t.Helper()
	hello, namespace := buildHello(t, "signed"), newNamespace(t)
	if err := sign(t.Context(), "ours", hello); err != nil {
		t.Fatal(err)
	}
	pod := newPod("slow", hello.String())
	pod.Labels = map[string]string{"app": "slow"}
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "PORT", Value: "8080"}, {Name: "DELAY", Value: "2s"}}
	if _, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "slow"}, Spec: corev1.ServiceSpec{
		Selector: pod.Labels, Ports: []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
	}}
	if _, err := cluster.CoreV1().Services(namespace).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		got, err := cluster.CoreV1().Pods(namespace).Get(ctx, "slow", metav1.GetOptions{})
		if err == nil && !ready(got) {
			err = errors.New("the slow registry is not ready")
		}
		return err
	})
	host = "slow." + namespace + ".svc.cluster.local"
	policy, err := cluster.CoreV1().ConfigMaps(ownNamespace).Get(t.Context(), "config-policy", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := set(t.Context(), "config-policy", map[string]string{
		"policy":     policy.Data["policy"] + fmt.Sprintf("- {pattern: \"%s/*:*\", validator: ours, with: {verifyInTransparencyLog: false}}\n", host),
		"registries": policy.Data["registries"] + fmt.Sprintf("- {host: %q, insecure: true}\n", host),
	}); err != nil {
		t.Fatal(err)
	}
	return host
}

// testNewRevision has the webhook replaced by one with another environment. The
// Revision before is asked too, and so would not go by itself.
func testNewRevision(t *testing.T, client dynamic.Interface) {
	load := newStream(t)
	load.warm(t)
	patch := `[{"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": {"name": "ANOTHER", "value": "Revision"}}]`
	if _, err := client.Resource(servingKind("services")).Namespace(ownNamespace).Patch(t.Context(), "webhook", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		if out := kubectl(t, "-n", ownNamespace, "get", "revisions", "-l", superseded, "-o", "name"); !strings.Contains(out, "webhook-00001") {
			return errors.New("the Revision before has not been superseded")
		}
		return knativeReady(ctx, client, "services", ownNamespace, "webhook")
	})
	kubectl(t, "-n", ownNamespace, "delete", "revisions", "-l", superseded)
	clustertest.Within(t, patience, func(context.Context) error {
		pods := webhooks(t)
		for _, pod := range pods {
			if pod.Labels["serving.knative.dev/revision"] != "webhook-00002" {
				return fmt.Errorf("%s is not of the new Revision", pod.Name)
			}
		}
		if len(pods) == 0 {
			return errors.New("there are no replicas")
		}
		return nil
	})
	t.Logf("after %v", time.Since(start))
	load.wantAllRight(t)
}

// testScaling has 35 admissions under way at a time, where there is to be one replica
// for each 10.
func testScaling(t *testing.T, slow string) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	others := newStream(t)
	others.warm(t)
	namespace, start := newNamespace(t), time.Now()
	var all sync.WaitGroup
	for worker := range 35 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = try(ctx, namespace, "slow", fmt.Sprintf("%s/app-%d-%d:v1", slow, worker, i))
			}
		})
	}
	clustertest.Within(t, patience, func(context.Context) error {
		pods, isReady := webhooks(t), 0
		for _, pod := range pods {
			if ready(&pod) {
				isReady++
			}
		}
		if isReady < 3 {
			return fmt.Errorf("%d of %d replicas are ready", isReady, len(pods))
		}
		return nil
	})
	t.Logf("from one replica to three after %v", time.Since(start))
	cancel()
	all.Wait()
	start = time.Now()
	clustertest.Within(t, patience, func(context.Context) error {
		if pods := webhooks(t); len(pods) != 1 {
			return fmt.Errorf("there are %d replicas", len(pods))
		}
		return nil
	})
	t.Logf("and back to one %v after there was nothing more", time.Since(start))
	// Those that were one too many end meanwhile.
	clustertest.Within(t, patience, func(ctx context.Context) error {
		list, err := cluster.CoreV1().Pods(ownNamespace).List(ctx, metav1.ListOptions{LabelSelector: replicas})
		if err == nil && len(list.Items) != 1 {
			err = fmt.Errorf("there are still %d Pods", len(list.Items))
		}
		return err
	})
	t.Logf("the others have ended after %v", time.Since(start))
	others.wantAllRight(t)
	healthy(t)
}

// healthy makes sure that no Pod of the webhook's was found dead by the kubelet, which
// would end it after the sixth time.
func healthy(t *testing.T) {
	t.Helper()
	for _, pod := range webhooks(t) {
		for _, container := range pod.Status.ContainerStatuses {
			if container.RestartCount > 0 {
				t.Errorf("%s of %s was started again: %+v", container.Name, pod.Name, container.LastTerminationState)
			}
		}
	}
	events, err := cluster.CoreV1().Events(ownNamespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Unhealthy"})
	if err != nil {
		t.Fatal(err)
	}
	for _, event := range events.Items {
		if strings.HasPrefix(event.InvolvedObject.Name, "webhook-0") && strings.Contains(event.Message, "Liveness") {
			t.Errorf("%s: %s", event.InvolvedObject.Name, event.Message)
		}
	}
}

// testWithoutKnative has everything of Knative's stand still, and the webhook's Pods
// lost meanwhile. They come back, and then they let Knative's Pods in.
func testWithoutKnative(t *testing.T) {
	scale := func(replicas string) {
		kubectl(t, "-n", servingNamespace, "scale", "deployment", "--all", "--replicas="+replicas)
	}
	t.Cleanup(func() {
		if _, err := command(context.Background(), "kubectl", "-n", servingNamespace, "scale", "deployment", "--all", "--replicas=1"); err != nil {
			t.Error(err)
		}
	})
	scale("0")
	before := webhooks(t)
	none := int64(0)
	for _, namespace := range []string{servingNamespace, ownNamespace} {
		if err := cluster.CoreV1().Pods(namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: &none}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		pods := webhooks(t)
		if len(pods) == 0 {
			return errors.New("there is no replica")
		}
		for _, pod := range pods {
			if !ready(&pod) || slices.ContainsFunc(before, func(p corev1.Pod) bool { return p.UID == pod.UID }) {
				return fmt.Errorf("%s is not another, or not ready", pod.Name)
			}
		}
		_, err := try(ctx, "default", "ready", unsigned.String())
		return clustertest.Denied(err, "NoSignature")
	})
	t.Logf("verdicts again after %v", time.Since(start))
	scale("1")
	start = time.Now()
	for _, name := range []string{"webhook", "controller", "autoscaler", "activator"} {
		kubectl(t, "-n", servingNamespace, "rollout", "status", "deployment/"+name, "--timeout", patience.String())
	}
	t.Logf("Knative again after %v", time.Since(start))
}
