//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

func TestNamespacesAreExcludedAndIncludedWithinASecond(t *testing.T) {
	namespace, other := newNamespace(t, nil), newNamespace(t, nil)
	configure(t, base)
	for range 3 {
		if err := base.set(featuresName, "excludedNamespaces", fmt.Sprintf("[kube-system, %s]", namespace)).apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		clustertest.Within(t, promised, func(ctx context.Context) error {
			return errors.Join(areExcluded(ctx, "kube-system", namespace), try(ctx, namespace, unsigned.String()))
		})
		wantDenied(t, try(t.Context(), other, unsigned.String()), "NoSignature")
		if err := base.apply(t.Context()); err != nil {
			t.Fatal(err)
		}
		clustertest.Within(t, promised, func(ctx context.Context) error {
			return errors.Join(areExcluded(ctx, "kube-system"), clustertest.Denied(try(ctx, namespace, unsigned.String()), "NoSignature"))
		})
	}
}

func TestExemptNamespaces(t *testing.T) {
	t.Parallel()
	for _, namespace := range []string{"kube-system", ownNamespace} {
		t.Run(namespace+" is exempt", func(t *testing.T) {
			got, err := cluster.AppsV1().Deployments(namespace).Create(t.Context(), newDeployment("exempt", 0, unsigned.String()), dryRun())
			if err != nil {
				t.Fatal(err)
			}
			if image := got.Spec.Template.Spec.Containers[0].Image; image != unsigned.String() {
				t.Errorf("its image became %s", image)
			}
		})
	}
	t.Run("kube-public is not", func(t *testing.T) {
		clustertest.EnsureAccount(t, cluster, "kube-public")
		wantDenied(t, try(t.Context(), "kube-public", unsigned.String()), "NoSignature")
	})
}

// T12
func TestNoLabelOfATenantExemptsANamespace(t *testing.T) {
	t.Parallel()
	labels := []struct{ name, label, value string }{
		{"one in our name", "connaisseur.sse-secure-systems.github.io/exclude", "true"},
		{"the one of knative", "webhooks.knative.dev/exclude", "true"},
		{"the one of policy-controller, turned round", "policy.sigstore.dev/include", "false"},
		{"the one of gatekeeper", "admission.gatekeeper.sh/ignore", "true"},
		{"the name of an exempt namespace", "kubernetes.io/metadata.name", "kube-system"},
		{"the name of ours", "kubernetes.io/metadata.name", ownNamespace},
		{"the control plane's", "control-plane", "controller-manager"},
	}
	for _, l := range labels {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			namespace := newNamespace(t, map[string]string{l.label: l.value})
			wantDenied(t, try(t.Context(), namespace, unsigned.String()), "NoSignature")
			patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, l.label, l.value)
			_, _ = cluster.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, patch, metav1.PatchOptions{}) // refused or without effect
			wantDenied(t, try(t.Context(), namespace, unsigned.String()), "NoSignature")
		})
	}
}
