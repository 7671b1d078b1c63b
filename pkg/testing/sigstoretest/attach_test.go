package sigstoretest_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	st "github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
)

// cosign finds bundles in registries with the referrers API and without.
func TestCosignFindsBundles(t *testing.T) {
	t.Parallel()
	s := st.New(t)
	trusted, err := root.NewTrustedRootFromJSON(s.TrustedRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	for title, reg := range map[string]*registrytest.Registry{
		"referrers API": registrytest.New(t, registrytest.Referrers()), "referrers tag": registrytest.New(t),
	} {
		img, by := reg.Push(t, "team/app:v1"), s.Certificate(t, me, issuer)
		s.Sign(t, reg, img, by)
		s.Attest(t, reg, img, by, slsa, map[string]string{"a": "b"})
		s.Attest(t, reg, img, by, slsa, nil, st.BrokenSignature())
		ref, err := name.NewDigest(img.ByDigest())
		if err != nil {
			t.Fatal(err)
		}
		found, verified, err := cosign.VerifyImageAttestations(t.Context(), ref, &cosign.CheckOpts{
			Identities: []cosign.Identity{{Subject: me, Issuer: issuer}}, ClaimVerifier: cosign.IntotoSubjectClaimVerifier,
			NewBundleFormat: true, TrustedMaterial: trusted,
		})
		if err != nil || !verified || len(found) != 2 {
			t.Errorf("%s: found %d, verified %v, %v", title, len(found), verified, err)
		}
	}
}
