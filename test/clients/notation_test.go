//go:build integration

package clients

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// What the client signed with keys and servers of ours, it verifies itself, and
// it does not what others signed.
func TestNotationAcceptsWhatItSigned(t *testing.T) {
	t.Parallel()
	n, err := FindNotation(t.Context())
	must(t, err)
	t.Cleanup(n.Close)
	ca, stamper := notationtest.New(t, "Example CA"), notationtest.NewTimestampAuthority(t)
	revocations := ca.Revocations(t)
	alone := notationtest.SelfSigned(t, "alone")
	revoked := ca.Signer(t, "revoked", revocations.OCSP())
	revocations.Revoke(revoked)
	stamps := httptest.NewServer(stamper)
	t.Cleanup(stamps.Close)
	stamperFile, err := n.File("tsa.pem", stamper.Root.PEM())
	must(t, err)
	plain, referring := registrytest.New(t), registrytest.New(t, registrytest.Referrers())
	for _, row := range []struct {
		name    string
		on      *registrytest.Registry
		by      *notationtest.Signer
		flags   []string
		trusted string // ca if empty
		stamper string
		denied  bool
	}{
		{name: "JWS under the referrers tag", on: plain, by: ca.Signer(t, "me")},
		{name: "COSE under the referrers tag", on: plain, by: ca.Signer(t, "me"), flags: []string{"--signature-format", "cose"}},
		{name: "JWS by the referrers API", on: referring, by: ca.Signer(t, "me"), flags: []string{"--force-referrers-tag=false"}},
		{name: "COSE by the referrers API", on: referring, by: ca.Signer(t, "me"), flags: []string{"--force-referrers-tag=false", "--signature-format", "cose"}},
		{name: "an intermediate authority", on: referring, by: ca.Intermediate(t, "Team CA").Signer(t, "me")},
		{name: "a self-signed certificate", on: plain, by: alone, trusted: alone.PEM()},
		{name: "with a timestamp", on: plain, by: ca.Signer(t, "me"), flags: []string{"--timestamp-url", stamps.URL, "--timestamp-root-cert", stamperFile}, stamper: stamper.Root.PEM()},
		{name: "not revoked", on: plain, by: ca.Signer(t, "me", revocations.OCSP())},
		{name: "revoked", on: plain, by: revoked, denied: true},
		{name: "a stranger", on: plain, by: notationtest.New(t, "Other CA").Signer(t, "me"), denied: true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			image := row.on.Push(t, strings.ToLower(strings.ReplaceAll(row.name, " ", "-"))).ByDigest()
			signer, err := n.Signer(row.by)
			must(t, err)
			must(t, signer.Sign(t.Context(), image, row.flags...))
			verifier, err := n.Verifier(t.Context(), cmp.Or(row.trusted, ca.PEM()), row.stamper)
			must(t, err)
			if err := verifier.Verify(t.Context(), image); (err != nil) != row.denied {
				t.Errorf("verified: %v", err)
			}
			if listed, err := verifier.List(t.Context(), image); err != nil || len(listed) != 1 {
				t.Errorf("listed %q, %v", listed, err)
			}
		})
	}
}

// Flags say where the signature is found.
func TestNotationSignsInBothPlaces(t *testing.T) {
	t.Parallel()
	n, err := FindNotation(t.Context())
	must(t, err)
	t.Cleanup(n.Close)
	signer, err := n.Signer(notationtest.New(t, "Example CA").Signer(t, "me"))
	must(t, err)
	reg := registrytest.New(t, registrytest.Referrers())
	for flag, want := range map[string]int{"--force-referrers-tag=true": http.StatusOK, "--force-referrers-tag=false": http.StatusNotFound} {
		image := reg.Push(t, "team/app"+strings.ReplaceAll(flag, "=", "-"))
		must(t, signer.Sign(t.Context(), image.ByDigest(), flag))
		resp, err := http.Get(reg.URL() + "/v2/" + image.Repository + "/manifests/" + image.ReferrersTag())
		must(t, err)
		must(t, resp.Body.Close())
		if resp.StatusCode != want {
			t.Errorf("%s: the referrers tag answers %s", flag, resp.Status)
		}
	}
}
