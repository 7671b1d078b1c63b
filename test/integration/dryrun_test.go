//go:build integration

package integration

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// T37
func TestADryRunGivesTheSameVerdictAndLeavesNothing(t *testing.T) {
	t.Parallel()
	namespace := newNamespace(t, nil)
	pods := cluster.CoreV1().Pods(namespace)
	events := func() int {
		t.Helper()
		n := 0
		for _, ns := range []string{namespace, ownNamespace} {
			list, err := cluster.CoreV1().Events(ns).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range list.Items {
				// Those about the configuration and the leader may still come
				// from the tests before.
				if kind := e.InvolvedObject.Kind; kind != "ConfigMap" && kind != "Lease" {
					n += int(max(e.Count, 1))
				}
			}
		}
		return n
	}
	before := events()
	t.Run("of a signed image", func(t *testing.T) {
		got, err := pods.Create(t.Context(), newPod("dry-", signed.String()), dryRun())
		if err != nil {
			t.Fatal(err)
		}
		if image := got.Spec.Containers[0].Image; image != signed.Pinned() {
			t.Errorf("the answer has %s, want %s", image, signed.Pinned())
		}
	})
	t.Run("of an unsigned image", func(t *testing.T) {
		_, dry := pods.Create(t.Context(), newPod("dry-", unsigned.String()), dryRun())
		// Which leaves an event, where it was to be.
		_, stored := cluster.CoreV1().Pods(newNamespace(t, nil)).Create(t.Context(), newPod("dry-", unsigned.String()), metav1.CreateOptions{})
		wantDenied(t, dry, "NoSignature")
		if stored == nil || dry.Error() != stored.Error() {
			t.Errorf("the denials differ:\n%v\n%v", dry, stored)
		}
	})
	list, err := pods.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) > 0 {
		t.Errorf("%d Pods were stored", len(list.Items))
	}
	if after := events(); after != before {
		t.Errorf("there are %d events, before there were %d", after, before)
	}
	logged := hook.logged(t, func(e entry) bool { return e.Namespace == namespace && e.DryRun })
	if len(logged) != 3 { // both webhooks for the signed image
		t.Errorf("the log has %d decisions about dry runs, want 3: %+v", len(logged), logged)
	}
}
