//go:build integration

package integration

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// locked is a registry that wants a password, with an image that we signed.
func locked(t *testing.T) (registry *registrytest.Registry, image registrytest.Image) {
	t.Helper()
	registry = registrytest.New(t, registrytest.Bearer("alice", "s3cret"))
	image = registry.Push(t, "team/private:v1")
	registry.Sign(t, image, ours)
	return registry, image
}

// withAuth is the base configuration with a validator for a registry that has
// this auth.
func withAuth(registry *registrytest.Registry, auth string) configuration {
	c := base.with(fmt.Sprintf("- {pattern: %q, validator: locked, with: {verifyInTransparencyLog: false}}\n", registry.Host()+"/team/*:*"))
	c = c.set(policyName, "validators", baseValidators+"- {name: locked, type: cosign, auth: "+auth+", trustRoots: [{name: default, key: 'configmap://config-trust-roots/ours.pub'}]}\n")
	return c.set(policyName, "registries", c[policyName]["registries"]+fmt.Sprintf("- {host: %q, insecure: true}\n", registry.Host()))
}

func dockerSecret(name, host, password string) *corev1.Secret {
	auth := base64.StdEncoding.EncodeToString([]byte("alice:" + password))
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths": {%q: {"auth": %q}}}`, host, auth)},
	}
}

// The login in a Secret is followed: what is denied for want of it is admitted
// as soon as it is right, and the other way round.
func TestALoginInASecretIsRotated(t *testing.T) {
	registry, image := locked(t)
	mine := cluster.CoreV1().Secrets(ownNamespace)
	configure(t, withAuth(registry, "{secretName: registry-login}").set(featuresName, "cache.expirySeconds", "0"))
	t.Cleanup(func() { _ = mine.Delete(context.Background(), "registry-login", metav1.DeleteOptions{}) })
	denies := func(texts ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			return clustertest.Denied(try(ctx, "default", image.String()), texts...)
		}
	}
	admits := func(ctx context.Context) error { return try(ctx, "default", image.String()) }

	clustertest.Within(t, promised, denies("RegistryUnauthorized", "Secret registry-login (auth.secretName) cannot be used: it does not exist"))
	create(t, mine.Create, dockerSecret("registry-login", registry.Host(), "0ld"))
	clustertest.Within(t, promised, denies("RegistryUnauthorized", "wrong or do not reach it"))
	for range 2 {
		if _, err := mine.Update(t.Context(), dockerSecret("registry-login", registry.Host(), "s3cret"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		clustertest.Within(t, promised, admits)
		if _, err := mine.Update(t.Context(), dockerSecret("registry-login", "other.example.com", "s3cret"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		clustertest.Within(t, promised, denies("RegistryUnauthorized", "needs pull credentials and we have none for it"))
	}
	if err := mine.Delete(t.Context(), "registry-login", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, promised, denies("it does not exist"))
	if err := try(t.Context(), "default", signed.String()); err != nil {
		t.Errorf("another validator's image: %v", err)
	}
}

// allowPullSecrets gives the webhook the rights that are not among the others,
// as they are shipped.
func allowPullSecrets(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../../config/optional/pull-secrets.yaml")
	if err != nil {
		t.Fatal(err)
	}
	roles := cluster.RbacV1()
	err = config.EachDocument(text, func(document []byte) error {
		var role rbacv1.ClusterRole
		if err := yaml.Unmarshal(document, &role); err != nil {
			return err
		}
		if role.Kind == "ClusterRole" {
			t.Cleanup(func() { _ = roles.ClusterRoles().Delete(context.Background(), role.Name, metav1.DeleteOptions{}) })
			_, err := roles.ClusterRoles().Create(t.Context(), &role, metav1.CreateOptions{})
			return err
		}
		var binding rbacv1.ClusterRoleBinding
		if err := yaml.UnmarshalStrict(document, &binding); err != nil {
			return err
		}
		t.Cleanup(func() {
			_ = roles.ClusterRoleBindings().Delete(context.Background(), binding.Name, metav1.DeleteOptions{})
		})
		_, err := roles.ClusterRoleBindings().Create(t.Context(), &binding, metav1.CreateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// T35: with their own pull secrets, workloads see what these let them see,
// whatever others saw before.
func TestWorkloadsAreVerifiedWithTheirOwnPullSecrets(t *testing.T) {
	registry, image := locked(t)
	team, stranger := newNamespace(t, nil), newNamespace(t, nil)
	create(t, cluster.CoreV1().Secrets(team).Create, dockerSecret("pull", registry.Host(), "s3cret"))
	create(t, cluster.CoreV1().Secrets(stranger).Create, dockerSecret("pull", registry.Host(), "guess"))
	create(t, cluster.CoreV1().ServiceAccounts(team).Create, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "robot"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
	})
	configure(t, withAuth(registry, "{useImagePullSecrets: true}"))
	// What would be stored if a kind ran the image like this.
	with := func(k kind, namespace, account string, secrets ...string) error {
		spec := podSpec(image.String())
		spec.ServiceAccountName = account
		for _, name := range secrets {
			spec.ImagePullSecrets = append(spec.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
		}
		stored, err := k.create(t.Context(), namespace, spec)
		if err == nil && !strings.HasSuffix(stored.Containers[0].Image, "@"+image.Digest) {
			return fmt.Errorf("%s was stored", stored.Containers[0].Image)
		}
		return err
	}
	pod := kinds[0]

	clustertest.Within(t, promised, func(context.Context) error {
		return clustertest.Denied(with(pod, team, "", "pull"), "RegistryUnauthorized", "config/optional/pull-secrets.yaml")
	})
	allowPullSecrets(t)
	clustertest.Within(t, patience, func(context.Context) error { return with(pod, team, "", "pull") })
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			if err := with(k, team, "", "pull"); err != nil {
				t.Errorf("with the pull secret: %v", err)
			}
			if err := with(k, team, "robot"); err != nil {
				t.Errorf("with the service account's: %v", err)
			}
			if err := with(k, team, "", "gone", "pull"); err != nil {
				t.Errorf("with one that is gone too: %v", err)
			}
			wantDenied(t, with(k, team, ""), "RegistryUnauthorized", "needs pull credentials and we have none for it")
			wantDenied(t, with(k, stranger, "", "pull"), "RegistryUnauthorized", "wrong or do not reach it")
		})
	}
	if err := try(t.Context(), stranger, signed.String()); err != nil {
		t.Errorf("another validator's image: %v", err)
	}
}
