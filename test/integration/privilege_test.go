//go:build integration

package integration

import (
	"fmt"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

func TestTheWebhookMayDoWhatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	account, err := clustertest.Connect(func(c *rest.Config) {
		c.Impersonate.UserName = "system:serviceaccount:" + ownNamespace + ":webhook"
		c.Impersonate.Groups = []string{"system:serviceaccounts", "system:serviceaccounts:" + ownNamespace, "system:authenticated"}
	})
	if err != nil {
		t.Fatal(err)
	}
	const everywhere, admission = "", "admissionregistration.k8s.io"
	rows := []struct {
		may                             bool
		verb, group, resource, name, ns string
	}{
		{true, "list", "", "configmaps", "", ownNamespace},
		{true, "watch", "", "secrets", "", ownNamespace},
		{true, "update", "", "configmaps", "connaisseur-last-good", ownNamespace},
		{true, "update", "", "configmaps", "connaisseur-notary-versions", ownNamespace},
		{true, "update", "", "configmaps", "connaisseur-alerts", ownNamespace},
		{true, "update", "", "secrets", "connaisseur-webhook-certificate", ownNamespace},
		{true, "update", admission, "mutatingwebhookconfigurations", registered, everywhere},
		{true, "update", admission, "validatingwebhookconfigurations", registeredConfig, everywhere},

		{true, "create", "", "events", "", "default"}, // of denials
		{true, "patch", "", "events", "", "default"},

		{false, "delete", "", "events", "", "default"},
		{false, "list", "", "events", "", everywhere},
		{false, "get", "", "secrets", "", "default"},
		{false, "list", "", "secrets", "", "kube-system"},
		{false, "list", "", "secrets", "", everywhere},
		{false, "list", "", "configmaps", "", "kube-system"},
		{false, "list", "", "pods", "", everywhere},
		{false, "list", "", "pods", "", ownNamespace},
		{false, "create", "", "pods", "", ownNamespace},
		{false, "list", "", "namespaces", "", everywhere},
		{true, "watch", "apps", "replicasets", "", everywhere}, // owners of Pods
		{true, "list", "batch", "jobs", "", everywhere},
		{false, "update", "apps", "deployments", "", everywhere},
		{false, "get", "apps", "deployments/scale", "", everywhere},
		{false, "create", "", "secrets", "", ownNamespace},
		{false, "update", "", "secrets", "anything-else", ownNamespace},
		{false, "delete", "", "secrets", "connaisseur-webhook-certificate", ownNamespace},
		{false, "update", "", "configmaps", policyName, ownNamespace},
		{false, "update", "", "configmaps", trustRootsName, ownNamespace},
		{false, "create", "", "configmaps", "", ownNamespace},
		{false, "create", admission, "mutatingwebhookconfigurations", "", everywhere},
		{false, "delete", admission, "validatingwebhookconfigurations", registered, everywhere},
		{false, "update", admission, "validatingwebhookconfigurations", "somebody-elses", everywhere},
		{false, "create", "", "serviceaccounts/token", "webhook", ownNamespace},
		{false, "impersonate", "", "users", "", everywhere},
		{false, "escalate", "rbac.authorization.k8s.io", "roles", "", ownNamespace},
		{false, "*", "*", "*", "", everywhere},
	}
	for _, r := range rows {
		verdict := "must not"
		if r.may {
			verdict = "may"
		}
		where := r.ns
		if where == everywhere {
			where = "all namespaces"
		}
		t.Run(fmt.Sprintf("it %s %s %s %s in %s", verdict, r.verb, r.resource, r.name, where), func(t *testing.T) {
			review, err := account.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
				Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
					Namespace: r.ns, Verb: r.verb, Group: r.group, Resource: r.resource, Name: r.name,
				}},
			}, metav1.CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if review.Status.Allowed != r.may {
				t.Errorf("allowed is %t: %s", review.Status.Allowed, review.Status.Reason)
			}
		})
	}
	t.Run("it cannot read a Secret of another namespace", func(t *testing.T) {
		if _, err := account.CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{}); err == nil {
			t.Error("it can")
		}
	})
}
