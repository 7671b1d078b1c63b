package registrytest_test

import (
	"crypto"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

func TestCosignAcceptsWhatAttestMakes(t *testing.T) {
	t.Parallel()
	reg, key := registrytest.New(t), registrytest.Key(t)
	img := reg.Push(t, "team/app:v1")
	const slsa = "https://slsa.dev/provenance/v1"
	reg.Attest(t, img, key, slsa, map[string]string{"builder": "me"})
	reg.Attest(t, img, key, slsa, nil, registrytest.ClaimDigest("sha256:0123"))
	reg.Attest(t, img, registrytest.Key(t), slsa, nil)
	ref, err := name.NewDigest(img.ByDigest())
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.LoadVerifier(key.Public(), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	opts := &cosign.CheckOpts{SigVerifier: verifier, ClaimVerifier: cosign.IntotoSubjectClaimVerifier, IgnoreTlog: true, IgnoreSCT: true}
	found, _, err := cosign.VerifyImageAttestations(t.Context(), ref, opts)
	if err != nil || len(found) != 1 {
		t.Fatalf("%d attestations, %v", len(found), err)
	}
	if annotations, err := found[0].Annotations(); err != nil || annotations["predicateType"] != slsa {
		t.Errorf("annotations %v, %v", annotations, err)
	}
}
