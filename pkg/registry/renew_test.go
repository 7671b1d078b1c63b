package registry

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// A token that was revoked is replaced, once it is not quite new.
func TestRevokedTokensAreRenewed(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t, registrytest.Bearer("", ""))
	client, err := New(Options{Hosts: []Host{{Name: reg.Host(), Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	client.renewAfter = 0
	ref, err := image.Parse(reg.Push(t, "app:v1").String())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.As(nil, "").Resolve(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		reg.RevokeTokens()
	}
	if got := reg.Requests(); got[registrytest.Token] != 2 || got[registrytest.ManifestHead] != 3 {
		t.Errorf("got %v", got)
	}
}
