package registrytest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	ociremote "github.com/sigstore/cosign/v2/pkg/oci/remote"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// What Sign makes is what cosign's own library finds and verifies.
func TestCosignAcceptsWhatSignMakes(t *testing.T) {
	t.Parallel()
	reg := registrytest.New(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	img := reg.Push(t, "team/app:v1")
	reg.Sign(t, img, registrytest.Key(t))
	reg.Sign(t, img, rsaKey)
	reg.Sign(t, img, edKey)
	ref, err := name.NewDigest(img.ByDigest())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.PublicKey{rsaKey.Public(), edKey.Public()} {
		verifier, err := signature.LoadVerifier(key, crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		opts := &cosign.CheckOpts{SigVerifier: verifier, ClaimVerifier: cosign.SimpleClaimVerifier, IgnoreTlog: true, IgnoreSCT: true}
		found, _, err := cosign.VerifyImageSignatures(t.Context(), ref, opts)
		if err != nil || len(found) != 1 {
			t.Errorf("%T: %d signatures, %v", key, len(found), err)
		}
	}
	signatures, err := ociremote.Signatures(ref.Context().Tag(img.SignatureTag()))
	if err != nil {
		t.Fatal(err)
	}
	if all, err := signatures.Get(); err != nil || len(all) != 3 {
		t.Errorf("want 3 signatures, got %d, %v", len(all), err)
	}
}

func TestECDSASignaturesAreOverThePayload(t *testing.T) {
	t.Parallel()
	reg, key := registrytest.New(t), registrytest.Key(t)
	img := reg.Push(t, "app")
	reg.Sign(t, img, key, registrytest.Optional("who", "me"), registrytest.ClaimDigest("sha256:other"))
	ref, _ := name.NewTag(img.Name() + ":" + img.SignatureTag())
	signatures, err := ociremote.Signatures(ref)
	if err != nil {
		t.Fatal(err)
	}
	all, err := signatures.Get()
	if err != nil || len(all) != 1 {
		t.Fatalf("%d signatures, %v", len(all), err)
	}
	payload, _ := all[0].Payload()
	text, _ := all[0].Base64Signature()
	raw, _ := base64.StdEncoding.DecodeString(text)
	sum := sha256.Sum256(payload)
	if !ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), sum[:], raw) {
		t.Error("the signature does not verify")
	}
}

// A standard client gets in with the right credentials only.
func TestAuthentication(t *testing.T) {
	t.Parallel()
	for scheme, option := range map[string]registrytest.Option{
		"basic":  registrytest.Basic("alice", "secret"),
		"bearer": registrytest.Bearer("alice", "secret"),
	} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			reg := registrytest.New(t, option)
			img := reg.Push(t, "team/app:v1")
			ref, err := name.ParseReference(img.String())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := remote.Head(ref); err == nil {
				t.Error("it let in nobody in particular")
			}
			got, err := remote.Head(ref, remote.WithAuth(&authn.Basic{Username: "alice", Password: "secret"}))
			if err != nil || got.Digest.String() != img.Digest {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestProgramsCanUseItToo(t *testing.T) {
	t.Parallel()
	reg := registrytest.Start()
	defer reg.Close()
	img := reg.Push(registrytest.Panics, "app")
	reg.Sign(registrytest.Panics, img, registrytest.Key(registrytest.Panics))
	if got := reg.Requests().Total(); got != 0 {
		t.Errorf("pushing and signing was counted: %d", got)
	}
}
