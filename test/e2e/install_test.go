//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// installation is how long one took.
type installation struct{ applied, total time.Duration }

// install is what the README says, and no more.
func install(ctx context.Context) (installation, error) {
	start := time.Now()
	var took installation
	if _, err := command(ctx, "ko", "apply", "--sbom=none", "-f", "config/"); err != nil {
		return took, err
	}
	took.applied = time.Since(start)
	if _, err := command(ctx, "kubectl", "-n", ownNamespace, "rollout", "status", "deployment/webhook", "--timeout", patience.String()); err != nil {
		return took, err
	}
	took.total = time.Since(start)
	return took, configuredBase(ctx)
}

// uninstall is what the README says, too.
func uninstall(ctx context.Context) error {
	_, err := command(ctx, "ko", "delete", "--ignore-not-found", "-f", "config/")
	return err
}

func TestItIsInstalledAsShipped(t *testing.T) {
	pods := webhooks(t)
	if len(pods) != 2 || !ready(&pods[0]) || !ready(&pods[1]) {
		t.Fatalf("there are not two replicas ready: %d", len(pods))
	}
	for _, pod := range pods {
		for _, status := range pod.Status.ContainerStatuses {
			if status.RestartCount != 0 {
				t.Errorf("%s was restarted %d times", pod.Name, status.RestartCount)
			}
		}
		if !strings.Contains(pod.Spec.Containers[0].Image, "@sha256:") {
			t.Errorf("%s runs %s, which is not pinned", pod.Name, pod.Spec.Containers[0].Image)
		}
	}
}

// An installation that is applied again is left as it is, down to the Pods and to
// what was set in the ConfigMaps.
func TestApplyingItAgainChangesNothing(t *testing.T) {
	before := versions(t)
	// What kubectl says is no help: it calls each object "configured" that has a label
	// selector, which it sends again though nothing in it is new.
	if _, err := command(t.Context(), "ko", "apply", "--sbom=none", "-f", "config/"); err != nil {
		t.Fatal(err)
	}
	for name, version := range versions(t) {
		if before[name] != version {
			t.Errorf("%s was changed or made: %q, %q", name, before[name], version)
		}
	}
}

// versions are those of all objects of the installation that are not changed by
// what goes on all the time.
func versions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	const each = `{range .items[*]}{.kind}/{.metadata.name} {.metadata.uid} {.metadata.resourceVersion}{"\n"}{end}`
	out := kubectl(t, "-n", ownNamespace, "get", "configmaps,secrets,services,serviceaccounts,roles,rolebindings,deployments,replicasets,pods,networkpolicies,poddisruptionbudgets,resourcequotas", "-o", "jsonpath="+each)
	out += kubectl(t, "get", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations", "-l", "app.kubernetes.io/name=connaisseur", "-o", "jsonpath="+each)
	for line := range strings.Lines(out) {
		name, version, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			t.Fatalf("kubectl said %q", line)
		}
		found[name] = version
	}
	if len(found) < 25 {
		t.Fatalf("there are only %d objects: %v", len(found), found)
	}
	return found
}

// What was installed goes, all of it, and with it what it did.
func TestItIsRemovedWithoutATrace(t *testing.T) {
	t.Cleanup(func() {
		took, err := install(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("installed again in %v, of which ko took %v", took.total, took.applied)
	})
	clustertest.Within(t, patience, settled)
	load := newStream(t)
	load.warm(t)
	namespace, start, early := newNamespace(t), time.Now(), load.wrongSoFar()
	if err := uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	load.stop()
	// As long as it is there it answers; then nobody is asked any more.
	for _, f := range load.failures {
		t.Errorf("no verdict %v after the removal began: %v", f.asked.Sub(start).Round(time.Millisecond), f.err)
	}
	for i, wrong := range load.wrong {
		if i < early || strings.Contains(wrong, " was denied: ") {
			t.Errorf("a wrong answer: %s", wrong)
		}
	}
	t.Logf("removed in %v; %d right answers, and %d Pods that nobody looked at", time.Since(start), len(load.right), len(load.wrong))
	if _, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), newPod("unsigned", unsigned.String()), metav1.CreateOptions{}); err != nil {
		t.Errorf("a Pod cannot be created: %v", err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		pod, err := cluster.CoreV1().Pods(namespace).Get(ctx, "unsigned", metav1.GetOptions{})
		if err == nil && pod.Status.Phase != corev1.PodRunning {
			err = fmt.Errorf("the Pod is %s", pod.Status.Phase)
		}
		return err
	})
	const names = `jsonpath={range .items[*]}{.kind}/{.metadata.namespace}/{.metadata.name}{"\n"}{end}`
	kinds := strings.Fields(kubectl(t, "api-resources", "--verbs=list", "-o", "name"))
	for line := range strings.Lines(kubectl(t, "get", strings.Join(kinds, ","), "--all-namespaces", "-o", names)) {
		if strings.Contains(line, "connaisseur") && !strings.HasPrefix(line, "Event/") {
			t.Errorf("left behind: %s", line)
		}
	}
}
