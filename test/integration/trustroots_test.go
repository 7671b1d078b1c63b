//go:build integration

package integration

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// A key in a Secret of another namespace is trusted as soon as somebody there
// lets the webhook read it, and never taken for one of our own.
func TestAKeyInASecretOfAnotherNamespace(t *testing.T) {
	team := newNamespace(t, nil)
	rbac := cluster.RbacV1()
	create(t, cluster.CoreV1().Secrets(team).Create, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "team-key"}, Data: map[string][]byte{"cosign.pub": registrytest.PublicPEM(t, ours)},
	})
	image := newSigned(t)
	c := base.with("- {pattern: \"" + image.Name() + "\", validator: team, with: {verifyInTransparencyLog: false}}\n")
	configure(t, c.set(policyName, "validators", baseValidators+"- {name: team, type: cosign, trustRoots: [{name: default, key: 'k8s://"+team+"/team-key'}]}\n"))
	err := try(t.Context(), "default", image.String())
	wantDenied(t, err, "TrustDataUnavailable", "k8s://"+team+"/team-key", "the webhook may not read it")

	create(t, rbac.Roles(team).Create, &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "connaisseur-key"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"team-key"}, Verbs: []string{"get"}}},
	})
	create(t, rbac.RoleBindings(team).Create, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "connaisseur-key"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "webhook", Namespace: ownNamespace}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "connaisseur-key"},
	})
	clustertest.Within(t, time.Minute, func(ctx context.Context) error { return try(ctx, "default", image.String()) })
}
