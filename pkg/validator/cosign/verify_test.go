package cosign

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const signedHex = "2222222222222222222222222222222222222222222222222222222222222222"

const signedDigest = image.Digest("sha256:" + signedHex)

func legacy(payload, signature string) registry.Candidate {
	return registry.Candidate{Kind: registry.SimpleSigning, Payload: []byte(payload), Base64Signature: signature}
}

// verifyWith is what becomes of a candidate where one root of these keys is
// trusted and no log is demanded.
func verifyWith(candidate registry.Candidate, keys ...trust.Key) *validator.Error {
	b := &bound{
		quorum:  trust.Quorum{Roots: []trust.Root{{Name: "default", Keys: keys}}, Threshold: 1},
		demands: []demand{{predicateType: signaturePredicate, holds: always}},
	}
	for i := range keys {
		b.signers = append(b.signers, &signer{material: &trust.Material{}, options: needs{}.options(true), key: &keys[i], roots: b.quorum.Roots})
	}
	t := &tally{bound: b, digest: signedDigest, met: make([]progress, 1)}
	t.consider(context.Background(), candidate)
	if t.unmet() < 0 {
		return nil
	}
	return t.verdict()
}

func goodPayload() string {
	return `{"critical":{"identity":{"docker-reference":"x"},"image":{"docker-manifest-digest":"sha256:` + signedHex + `"},"type":"cosign container image signature"},"optional":null}`
}

// explosive is a verifier whose library has a bug.
type explosive struct {
	signature.Verifier
	with any
}

func (e explosive) VerifySignature(io.Reader, io.Reader, ...signature.VerifyOption) error {
	panic(e.with)
}

// T19: a panic in a library is one malformed signature. It neither ends the
// process nor lets another key's verification fail.
func TestT19APanicInTheLibraryIsAMalformedSignature(t *testing.T) {
	t.Parallel()
	for _, with := range []any{"a text", errors.New("an error"), fmt.Stringer(nil), 42} {
		key := trust.Key{ID: "0123", Verifiers: []signature.Verifier{explosive{with: with}}}
		err := verifyWith(legacy(goodPayload(), "AAAA"), key)
		if err == nil || err.Reason != validator.MalformedSignature {
			t.Errorf("panic(%v): got %v", with, err)
		}
	}
}

func TestAPanicForOneKeyLeavesTheOtherOnesSignature(t *testing.T) {
	t.Parallel()
	key, signer := testKey(t)
	bad := trust.Key{ID: "bad", Verifiers: []signature.Verifier{explosive{with: "boom"}}}
	if err := verifyWith(legacy(goodPayload(), signText(t, signer, goodPayload())), bad, key); err != nil {
		t.Error(err)
	}
}

// The zero values accept nothing.
func TestAKeyWithoutVerifiersAndAnEmptyQuorumAcceptNothing(t *testing.T) {
	t.Parallel()
	_, signer := testKey(t)
	good := legacy(goodPayload(), signText(t, signer, goodPayload()))
	if err := verifyWith(good, trust.Key{}); err == nil {
		t.Error("a key without verifiers accepted a signature")
	}
	if err := verifyWith(good); err == nil {
		t.Error("the empty quorum accepted a signature")
	}
	for name, zero := range map[string]*tally{
		"nothing":         {bound: &bound{}},
		"a demand":        {bound: &bound{demands: []demand{{predicateType: signaturePredicate, holds: always}}}, met: make([]progress, 1)},
		"an empty quorum": {bound: &bound{quorum: trust.Quorum{Threshold: 0}}},
	} {
		if zero.unmet() < 0 {
			t.Errorf("%s is met by nothing", name)
		}
	}
}

func testKey(t testing.TB) (trust.Key, crypto.Signer) {
	t.Helper()
	signer := registrytest.Key(t)
	keys, err := trust.ParseKeys(registrytest.PublicPEM(t, signer))
	if err != nil {
		t.Fatal(err)
	}
	return keys[0], signer
}

func signText(t testing.TB, signer crypto.Signer, payload string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(payload))
	raw, err := signer.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// Whatever payload and signature a registry serves: without the private key
// nothing is accepted, nothing panics, and the error has a reason. The one
// signature that exists is accepted with its own payload only.
func FuzzVerify(f *testing.F) {
	key, signer := testKey(f)
	payload := goodPayload()
	text := signText(f, signer, payload)
	f.Add([]byte(payload), "")
	f.Add([]byte(payload), "AAAA")
	f.Add([]byte("{"), text)
	f.Add([]byte(strings.Replace(payload, "2", "3", 1)), text)
	f.Add([]byte(payload+" "), text)
	f.Add([]byte("null"), "MAYCAQACAQA=") // r = s = 0
	f.Add([]byte(payload), "MAYCAQACAQA=")
	f.Add([]byte(payload), "MAYCAQECAQE=")
	f.Add([]byte(nil), "\x00")
	f.Fuzz(func(t *testing.T, served []byte, signature string) {
		if string(served) != payload { // otherwise it may be the signature itself
			if err := verifyWith(legacy(string(served), text), key); err == nil {
				t.Fatalf("accepted the payload %q", served)
			}
		}
		if decoded, err := base64.StdEncoding.DecodeString(signature); err == nil && string(decoded) == mustDecode(text) {
			return
		}
		err := verifyWith(legacy(string(served), signature), key)
		if err == nil || err.Reason == "" || err.Message == "" {
			t.Fatalf("accepted %q with the signature %q, or said nothing: %v", served, signature, err)
		}
	})
}

func mustDecode(text string) string {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// T18, T19: whatever a registry serves in whatever form: without the private
// key nothing is accepted, nothing panics, and the error has a reason.
func FuzzCandidates(f *testing.F) {
	key, _ := testKey(f)
	img := registrytest.Image{Host: "example.com", Repository: "app", Digest: string(signedDigest)}
	s, by := sigstoretest.New(f), sigstoretest.Key(registrytest.Key(f))
	f.Add(uint8(2), s.SignatureBundle(f, img, by), "")
	f.Add(uint8(2), s.SignatureBundle(f, img, by, sigstoretest.RekorV2(), sigstoretest.TimestampedBy(s)), "")
	f.Add(uint8(2), s.SignatureBundle(f, img, s.Certificate(f, "alice@example.com", "https://issuer.example.com")), "")
	f.Add(uint8(1), []byte(`{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AA=="}]}`), `{"Payload":{"body":"e30="}}`)
	f.Add(uint8(0), []byte(goodPayload()), string(s.FulcioChain(f)))
	material, err := trust.ParseTrustedRoot(s.TrustedRoot(f))
	if err != nil {
		f.Fatal(err)
	}
	root := trust.Root{Name: "default", Keys: []trust.Key{key}}
	n := needs{log: true, sct: true}
	b := &bound{
		quorum: trust.Quorum{Roots: []trust.Root{root}, Threshold: 1},
		signers: []*signer{
			{material: material, needs: n, options: n.options(true), key: &key, roots: []trust.Root{root}},
			{material: material, needs: n, options: n.options(false), roots: []trust.Root{{Name: "default"}}},
		},
		demands: []demand{{predicateType: signaturePredicate, holds: always}, {predicateType: "", holds: always}},
	}
	// What was made for one image is a forgery for another.
	unsignedDigest := image.Digest("sha256:" + strings.Repeat("1", 64))
	f.Fuzz(func(t *testing.T, kind uint8, content []byte, annotation string) {
		tally := &tally{bound: b, digest: unsignedDigest, met: make([]progress, 2)}
		tally.consider(t.Context(), registry.Candidate{
			Kind: registry.Kind(kind % 3), Payload: content, Base64Signature: "AAAA",
			Annotations: map[string]string{"dev.sigstore.cosign/bundle": annotation, "dev.sigstore.cosign/certificate": annotation, "dev.sigstore.cosign/rfc3161timestamp": annotation},
		})
		if tally.unmet() < 0 {
			t.Fatalf("accepted %q", content)
		}
		if err := tally.verdict(); err == nil || err.Reason == "" || err.Message == "" {
			t.Fatalf("said nothing about %q", content)
		}
	})
}
