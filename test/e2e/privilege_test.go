//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// With the webhook's own token everything that the cluster has is asked for: what is
// not needed cannot be read.
func TestNothingElseIsReadable(t *testing.T) {
	everywhere := []string{
		"replicationcontrollers", "deployments.apps", "replicasets.apps", "daemonsets.apps", "statefulsets.apps", "jobs.batch", "cronjobs.batch",
		"mutatingwebhookconfigurations.admissionregistration.k8s.io", "validatingwebhookconfigurations.admissionregistration.k8s.io",
	}
	here := []string{"configmaps", "secrets", "leases.coordination.k8s.io"}

	token, err := cluster.CoreV1().ServiceAccounts(ownNamespace).CreateToken(t.Context(), "webhook", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := clustertest.Config()
	if err != nil {
		t.Fatal(err)
	}
	c.BearerToken, c.BearerTokenFile = token.Status.Token, ""
	c.CertData, c.KeyData, c.CertFile, c.KeyFile, c.Username, c.Password, c.ExecProvider, c.AuthProvider = nil, nil, "", "", "", "", nil, nil
	account, err := dynamic.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := cluster.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, list := range lists {
		group, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.APIResources {
			if !slices.Contains(resource.Verbs, "list") {
				continue
			}
			gvr := group.WithResource(resource.Name)
			name := strings.TrimSuffix(gvr.GroupResource().String(), ".")
			for _, namespace := range []string{"", ownNamespace, "kube-system", "default"} {
				if namespace != "" && !resource.Namespaced {
					continue
				}
				tried++
				_, err := account.Resource(gvr).Namespace(namespace).List(t.Context(), metav1.ListOptions{Limit: 1})
				may := slices.Contains(everywhere, name) || namespace == ownNamespace && slices.Contains(here, name)
				switch {
				case err == nil && !may:
					t.Errorf("%s can be listed in namespace %q", name, namespace)
				case err != nil && (may || !apierrors.IsForbidden(err)):
					t.Errorf("listing %s in namespace %q: %v", name, namespace, err)
				}
			}
		}
	}
	t.Logf("%d lists were asked for", tried)
	if tried < 100 {
		t.Errorf("only %d lists were asked for", tried)
	}
}

// Pod Security's strictest level is enforced where Pods are exempt from verification;
// our own comply, since they run.
func TestOurNamespaceIsRestricted(t *testing.T) {
	_, err := try(t.Context(), ownNamespace, "lax", unsigned.String())
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `violates PodSecurity "restricted`) {
		t.Errorf("want a Pod that is not restricted to be refused, got %v", err)
	}
}
