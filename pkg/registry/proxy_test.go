package registry_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// caOfChild has the test's program ask a registry instead of running tests: Go
// reads the proxy's settings only once in a process.
const caOfChild = "REGISTRY_TEST_CA"

func TestMain(m *testing.M) {
	if ca := os.Getenv(caOfChild); ca != "" {
		os.Exit(askAsChild([]byte(ca)))
	}
	os.Exit(m.Run())
}

func askAsChild(ca []byte) int {
	client, err := registry.New(registry.Options{CAs: ca})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ref, err := image.Parse(os.Args[1])
	if err != nil {
		fmt.Println(err)
		return 1
	}
	digest, err := client.As(nil, "").Resolve(context.Background(), ref)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Print(digest)
	return 0
}

func TestTheProxyOfTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.TLS())
	img := reg.Push(t, "app:v1")
	proxy := reg.Tunnel(t).String()
	for _, c := range []struct {
		name, image, without string
		reached              bool
	}{
		{"HTTPS_PROXY leads to the registry", "example.com/app:v1", "", true},
		{"NO_PROXY leads past it", "registry.example.com/app:v1", ".example.com", false},
		{"T34: a proxy does not lead to this machine", "127.0.0.1:1/app:v1", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			child := exec.CommandContext(t.Context(), os.Args[0], c.image)
			child.Env = []string{"HTTPS_PROXY=" + proxy, "NO_PROXY=" + c.without, caOfChild + "=" + string(reg.CA())}
			out, err := child.Output()
			if (err == nil) != c.reached || (string(out) == img.Digest) != c.reached {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}

// What one validator trusts is trusted by no other.
func TestTrusting(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.TLS())
	ref := parse(t, "example.com/app:v1")
	reg.Push(t, "app:v1")
	base := newClient(t, registry.Options{Proxy: tunnel(t, reg), Hosts: []registry.Host{{Name: "example.net", CAs: reg.CA()}}})
	trusting, err := base.Trusting(reg.CA())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(trusting.Close)
	for range 2 { // whoever was first
		if _, err := trusting.As(nil, "").Resolve(t.Context(), ref); err != nil {
			t.Error(err)
		}
		_, err := base.As(nil, "").Resolve(t.Context(), ref)
		wantReason(t, err, validator.RegistryUnavailable)
		if !strings.Contains(err.Error(), "certificate that is not trusted") {
			t.Error(err)
		}
	}
	if _, err := base.Trusting([]byte("nonsense")); err == nil {
		t.Error("what is no certificate is taken for one")
	}
}

// T18: clients that differ in what they trust have one budget.
func TestT18TrustingClientsShareTheBudget(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.TLS())
	base := newClient(t, registry.Options{})
	trusting, err := base.Trusting(reg.CA())
	if err != nil {
		t.Fatal(err)
	}
	if !registry.ShareBudget(base, trusting) {
		t.Error("each may fill the memory")
	}
}
