package main

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

// privateLab is a signed image in a registry that wants a password, and the
// path of a configuration whose validator has that auth.
func privateLab(t *testing.T, auth string) (image registrytest.Image, login, path string) {
	t.Helper()
	reg, key := registrytest.New(t, registrytest.Basic("alice", "s3cret")), registrytest.Key(t)
	image = reg.Push(t, "team/app:v1")
	reg.Sign(t, image, key)
	path = writeConfigMaps(t, t.TempDir(), "all.yaml",
		configMap(config.PolicyName, map[string]string{
			"validators": fmt.Sprintf("- {name: default, type: cosign, auth: %s, trustRoots: [{name: default, key: \"configmap://config-trust-roots/a.pub\"}]}\n", auth),
			"policy":     "- {pattern: \"*:*\", with: {verifyInTransparencyLog: false}}\n",
			"registries": fmt.Sprintf("[{host: %q, insecure: true}]", reg.Host()),
		}),
		configMap(config.TrustRootsName, map[string]string{"a.pub": string(registrytest.PublicPEM(t, key))}),
	)
	return image, fmt.Sprintf(`{"auths": {%q: {"auth": "YWxpY2U6czNjcmV0"}}}`, reg.Host()), path
}

func TestTheUsersOwnCredentials(t *testing.T) {
	t.Parallel()
	image, login, path := privateLab(t, "{}")
	own := writeFile(t, t.TempDir(), "config.json", login)
	if got := call(t, "verify", image.String(), "--config", path); got.code != exitInconclusive {
		t.Errorf("without: code %d\n%s%s", got.code, got.out, got.err)
	}
	if got := call(t, "verify", image.String(), "--config", path, "--registry-config", own); got.code != exitOK {
		t.Errorf("with: code %d\n%s%s", got.code, got.out, got.err)
	}
	got := call(t, "verify", image.String(), "--config", path, "--registry-config", own+"x")
	wantText(t, "standard error", got.err, "credentials for registries cannot be read")
	// What a validator has of its own is not replaced.
	image, login, path = privateLab(t, "{secretName: pull}")
	own = writeFile(t, t.TempDir(), "config.json", login)
	got = call(t, "verify", image.String(), "--config", path, "--registry-config", own)
	wantText(t, "output", got.out, "Secret pull (auth.secretName) cannot be used: it does not exist")
}

func TestPullSecretsAreReadFromTheClusterWithItsConfiguration(t *testing.T) {
	t.Parallel()
	image, login, path := privateLab(t, "{useImagePullSecrets: true}")
	client := fake.NewSimpleClientset(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "pull"}, Data: map[string][]byte{".dockerconfigjson": []byte(login)}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "prod", Name: "default"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}}},
	)
	cluster := environment{
		cluster:     func(context.Context, clusterOptions) (config.Objects, error) { return config.ReadFiles(path) },
		pullSecrets: func(clusterOptions) (builtin.PullSecrets, error) { return config.NewPullSecrets(client), nil },
	}
	if got := callWith(t, cluster, "verify", image.String(), "-n", "prod"); got.code != exitOK {
		t.Errorf("code %d\n%s%s", got.code, got.out, got.err)
	}
	if got := callWith(t, cluster, "verify", image.String(), "-n", "other"); got.code != exitInconclusive {
		t.Errorf("in another namespace: code %d\n%s%s", got.code, got.out, got.err)
	}
	pod := writeFile(t, t.TempDir(), "pod.yaml", fmt.Sprintf(
		"{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {serviceAccountName: robot, imagePullSecrets: [{name: pull}], containers: [{name: c, image: %q}]}}", image.String()))
	if got := callWith(t, cluster, "admit", "-f", pod, "-n", "prod"); got.code != exitOK {
		t.Errorf("admit: code %d\n%s%s", got.code, got.out, got.err)
	}
	got := call(t, "verify", image.String(), "--config", path)
	wantText(t, "output", got.out, "RegistryUnauthorized", "there is none that could be asked")
}
