package main

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/workloadtest"
)

// answer is what a command line did.
type answer struct {
	code     int
	out, err string
}

// call executes a command line in this process, without a cluster.
func call(t *testing.T, args ...string) answer {
	t.Helper()
	return callWith(t, environment{}, args...)
}

// callWith is call with what of the environment is set.
func callWith(t *testing.T, e environment, args ...string) answer {
	t.Helper()
	var out, err bytes.Buffer
	e.out, e.err = &out, &err
	if e.in == nil {
		e.in = strings.NewReader("")
	}
	if e.now == nil {
		e.now = time.Now
	}
	if e.cluster == nil {
		e.cluster = func(context.Context, clusterOptions) (config.Objects, error) {
			return config.Objects{}, errors.New("no cluster in this test")
		}
	}
	if e.build == nil {
		e.build = debug.ReadBuildInfo
	}
	code := newCLI(e).run(t.Context(), args)
	return answer{code, out.String(), err.String()}
}

// lab is a registry with images, and the configuration for it.
type lab struct {
	registry *registrytest.Registry
	key      crypto.Signer
	signed   registrytest.Image // by the trust root alice
	sidecar  registrytest.Image // too
	unsigned registrytest.Image
	policy   map[string]string // config-policy
	config   string            // path
}

const allowAndDeny = `
- {name: allow, type: static, approve: true}
- {name: deny, type: static, approve: false}
`

// newLab makes one, with a rule for each of the outcomes.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{registry: registrytest.New(t), key: registrytest.Key(t)}
	l.signed, l.sidecar, l.unsigned = l.registry.Push(t, "team/app:v1"), l.registry.Push(t, "team/sidecar:v1"), l.registry.Push(t, "team/unsigned:v1")
	l.registry.Sign(t, l.signed, l.key)
	l.registry.Sign(t, l.sidecar, l.key)
	host := l.registry.Host()
	l.policy = map[string]string{
		"validators": allowAndDeny + `
- name: default
  type: cosign
  trustRoots:
  - {name: default, key: "configmap://config-trust-roots/alice.pub"}
`,
		"policy": fmt.Sprintf(`
- {pattern: "*:*", validator: deny}
- {pattern: "registry.k8s.io/*:*", validator: allow}
- {pattern: "%[1]s/*:*", with: {verifyInTransparencyLog: false}}
- {pattern: "127.0.0.1:1/*:*", with: {verifyInTransparencyLog: false}}
- {pattern: "docker.io/library/nginx:v1*", validator: allow}
- {pattern: "docker.io/library/redis:*", validator: allow, namespaces: ["prod-*"]}
`, host) + workloadtest.Rules,
		"registries": fmt.Sprintf("[{host: %q, insecure: true}, {host: \"127.0.0.1:1\", insecure: true}]", host),
	}
	l.config = l.with(t, nil, nil)
	return l
}

// with writes the lab's configuration with more in config-policy, which is put behind
// what is there, and in config-features.
func (l *lab) with(t *testing.T, policy, features map[string]string) (path string) {
	t.Helper()
	data := maps.Clone(l.policy)
	for key, text := range policy {
		data[key] += text
	}
	return writeConfigMaps(t, t.TempDir(), "all.yaml",
		configMap(config.PolicyName, data),
		configMap(config.TrustRootsName, map[string]string{"alice.pub": string(registrytest.PublicPEM(t, l.key))}),
		configMap(config.FeaturesName, features),
	)
}

// unreachable is an image of a registry that does not answer.
const unreachable = "127.0.0.1:1/team/app:v1"

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "connaisseur"},
		Data:       data,
	}
}

// policyFile writes a configuration with just a policy.
func policyFile(t *testing.T, validators, policy string) string {
	t.Helper()
	return writeConfigMaps(t, t.TempDir(), "policy.yaml", configMap(config.PolicyName, map[string]string{"validators": validators, "policy": policy}))
}

func writeConfigMaps(t *testing.T, folder, name string, objects ...*corev1.ConfigMap) string {
	t.Helper()
	var text []byte
	for _, object := range objects {
		document, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, "---\n"...), document...)
	}
	return writeFile(t, folder, name, string(text))
}

func writeFile(t *testing.T, folder, name, text string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantText fails unless text contains each of the parts.
func wantText(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}
