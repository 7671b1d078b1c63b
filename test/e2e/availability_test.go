//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// A new version is rolled out while everybody deploys.
func TestARollingRestartFailsNoRequest(t *testing.T) {
	load := newStream(t)
	load.warm(t)
	kubectl(t, "-n", ownNamespace, "rollout", "restart", "deployment/webhook")
	kubectl(t, "-n", ownNamespace, "rollout", "status", "deployment/webhook", "--timeout", patience.String())
	clustertest.Within(t, patience, settled) // the old ones have answered their last request
	load.wantAllRight(t)
}

// A drain of nodes evicts one replica after the other, and never the last one.
func TestEvictionFailsNoRequest(t *testing.T) {
	clustertest.Within(t, patience, settled)
	load := newStream(t)
	load.warm(t)
	pods := webhooks(t)
	if err := evict(t.Context(), pods[0]); err != nil {
		t.Fatal(err)
	}
	if err := evict(t.Context(), pods[1]); !apierrors.IsTooManyRequests(err) {
		t.Errorf("want the PodDisruptionBudget to keep the last replica, got %v", err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error { return evict(ctx, pods[1]) })
	clustertest.Within(t, patience, settled)
	load.wantAllRight(t)
}

func evict(ctx context.Context, pod corev1.Pod) error {
	return cluster.PolicyV1().Evictions(pod.Namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}})
}

// leader is the Pod that looks after the webhook configurations. There may be none for
// some seconds: a leader that ends gives its lease back, and the others ask for it now
// and then.
func leader(t *testing.T) corev1.Pod {
	t.Helper()
	var found corev1.Pod
	clustertest.Within(t, patience, func(ctx context.Context) error {
		lease, err := cluster.CoordinationV1().Leases(ownNamespace).Get(ctx, "webhook.webhookconfigurations.00-of-01", metav1.GetOptions{})
		if err != nil {
			return err
		}
		holder := ptr.Deref(lease.Spec.HolderIdentity, "")
		for _, pod := range webhooks(t) {
			if strings.HasPrefix(holder, pod.Name+"_") {
				found = pod
				return nil
			}
		}
		return fmt.Errorf("no replica is the leader, but %q", holder)
	})
	return found
}

// The replica that looks after the certificate and the webhook configurations goes,
// and another takes over, which is seen by what it does.
func TestTheLossOfTheLeaderFailsNoRequest(t *testing.T) {
	clustertest.Within(t, patience, settled)
	load := newStream(t)
	load.warm(t)
	before := leader(t)
	if err := cluster.CoreV1().Pods(ownNamespace).Delete(t.Context(), before.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, settled)
	spoilt := spoil(t)
	clustertest.Within(t, patience, func(ctx context.Context) error { return repaired(ctx, spoilt) })
	if after := leader(t); after.UID == before.UID {
		t.Errorf("%s is still the leader", after.Name)
	}
	load.wantAllRight(t)
}

// spoil changes what the leader looks after, harmlessly: the timeout.
func spoil(t *testing.T) int32 {
	t.Helper()
	const other = 29
	kubectl(t, "patch", "validatingwebhookconfiguration", "connaisseur", "--type=json",
		"-p", fmt.Sprintf(`[{"op": "replace", "path": "/webhooks/0/timeoutSeconds", "value": %d}]`, other))
	return other
}

func repaired(ctx context.Context, spoilt int32) error {
	c, err := cluster.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, "connaisseur", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if timeout := c.Webhooks[0].TimeoutSeconds; timeout == nil || *timeout == spoilt {
		return errors.New("no leader has put the webhook configuration right")
	}
	return nil
}

// A replica, the leader at that, dies without a word. API servers do not repeat a
// POST, so that what meets it then fails; that ends as soon as it is back, or, for a
// kubelet waits longer each time, the Service leaves it out. Its lease ends later, and
// somebody leads again.
func TestAReplicaThatIsKilledIsMissedForThreeSecondsAtMost(t *testing.T) {
	onOwnNode(t)
	for range 2 {
		clustertest.Within(t, patience, settled)
		load := newStream(t)
		load.warm(t)
		pod := leader(t)
		fault := time.Now()
		if err := syscall.Kill(processOf(t, pod), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		load.wantFailuresOnly(t, fault, 3*time.Second)
		clustertest.Within(t, patience, func(ctx context.Context) error {
			again, err := cluster.CoreV1().Pods(ownNamespace).Get(ctx, pod.Name, metav1.GetOptions{})
			if err == nil && (!ready(again) || again.Status.ContainerStatuses[0].RestartCount == pod.Status.ContainerStatuses[0].RestartCount) {
				err = errors.New("the replica is not back")
			}
			return err
		})
		spoilt := spoil(t)
		clustertest.Within(t, patience, func(ctx context.Context) error { return repaired(ctx, spoilt) })
	}
}

// The API server is restarted under load: what it does not answer fails, and nothing
// is answered wrongly.
func TestAnAPIServerThatIsRestartedAnswersNothingWrong(t *testing.T) {
	onOwnNode(t)
	clustertest.Within(t, patience, settled)
	load := newStream(t)
	load.warm(t)
	if _, err := command(t.Context(), "hack/cluster.sh", "restart", "kube-apiserver"); err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	time.Sleep(3 * time.Second)
	load.wantNoneWrong(t)
	after := 0
	for _, at := range load.right {
		if at.After(back) {
			after++
		}
	}
	if after < 20 {
		t.Errorf("only %d right answers since it is back", after)
	}
	for _, f := range load.failures {
		if f.asked.After(back.Add(time.Second)) {
			t.Errorf("no verdict %v after it is back: %v", f.asked.Sub(back), f.err)
		}
	}
	clustertest.Within(t, patience, settled)
}

// onOwnNode leaves out what only a process on this machine can show.
func onOwnNode(t *testing.T) {
	t.Helper()
	if !ownNode {
		t.Skip("the fault is made on the node of hack/cluster.sh only")
	}
}

// processOf finds the process of a Pod's webhook on this machine.
func processOf(t *testing.T, pod corev1.Pod) int {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		cgroup, err := os.ReadFile(name)
		if err != nil || !bytes.Contains(cgroup, []byte(pod.UID)) {
			continue // it has ended, or is another's
		}
		if line, err := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline")); err == nil && bytes.Contains(line, []byte("/ko-app/webhook")) {
			process, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				t.Fatal(err)
			}
			return process
		}
	}
	t.Fatalf("%s has no process on this machine", pod.Name)
	return 0
}
