//go:build integration

package clients

import (
	"slices"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// What the servers gave suffices for the clients to verify what they signed,
// without anything from elsewhere.
func TestTheClientsAcceptWhatTheySigned(t *testing.T) {
	s, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	const me = "me@example.com"
	token, err := s.Token(me)
	if err != nil {
		t.Fatal(err)
	}
	identity := []string{"--certificate-identity", me, "--certificate-oidc-issuer", s.Issuer}
	trusted := append([]string{"--trusted-root", s.trustedRootFile()}, identity...)
	for _, row := range []struct {
		name     string
		client   Cosign
		services Services
		verify   []string
	}{
		{"cosign 2 with Rekor", s.Cosign2, Rekor, identity},
		{"cosign 3 with Rekor", s.Cosign3, Rekor, trusted},
		{"cosign 3 with Rekor's second version", s.Cosign3, TilesTimestamps, trusted},
		{"cosign 3 with timestamps alone", s.Cosign3, Timestamps, append([]string{"--insecure-ignore-tlog", "--use-signed-timestamps"}, trusted...)},
	} {
		t.Run(row.name, func(t *testing.T) {
			image := registrytest.New(t).Push(t, "team/app").ByDigest()
			if err := row.client.Sign(t.Context(), row.services, image, "sign", "--identity-token", token); err != nil {
				t.Fatal(err)
			}
			if err := row.client.Run(t.Context(), slices.Concat([]string{"verify"}, row.verify, []string{image})...); err != nil {
				t.Fatal(err)
			}
		})
	}
}
