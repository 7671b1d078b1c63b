package cosign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
	"github.com/sigstore/sigstore/pkg/signature/payload"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// claimError tells a signature that is valid, but for something else, from one
// that is not valid.
type claimError struct{ error }

// verifyClaim compares the digest that was signed with the one that is to run.
func verifyClaim(sig oci.Signature, digest v1.Hash, annotations map[string]any) error {
	if err := cosign.SimpleClaimVerifier(sig, digest, annotations); err != nil {
		return claimError{err}
	}
	return nil
}

// verify tells whether the signature is by the key, and for the digest. A
// panic in the library is a malformed signature and nothing more.
func verify(ctx context.Context, key trust.Key, candidate registry.Signature, digest v1.Hash) (failure *validator.Error) {
	defer func() {
		if p := recover(); p != nil {
			failure = validator.Errorf(validator.MalformedSignature, "a signature cannot be read: %v", p)
		}
	}()
	if err := wellFormed(candidate); err != nil {
		return validator.Errorf(validator.MalformedSignature, "a signature cannot be read: %w", err)
	}
	sig, err := static.NewSignature(candidate.Payload, candidate.Base64Signature)
	if err != nil {
		return validator.Errorf(validator.MalformedSignature, "a signature cannot be read: %w", err)
	}
	for _, verifier := range key.Verifiers {
		_, err := cosign.VerifyImageSignature(ctx, sig, digest, &cosign.CheckOpts{
			SigVerifier:   verifier,
			ClaimVerifier: verifyClaim,
			IgnoreTlog:    true,
			IgnoreSCT:     true,
			Offline:       true,
		})
		var claim claimError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &claim):
			return validator.Errorf(validator.DigestMismatch, "a signature by a trusted key is attached to it, but was made for another image: %w", claim.error)
		}
	}
	return validator.Errorf(validator.UntrustedSigner, "no signature is by the key %.12s", key.ID)
}

// wellFormed refuses what no signing client writes, before any cryptography.
func wellFormed(candidate registry.Signature) error {
	if _, err := base64.StdEncoding.DecodeString(candidate.Base64Signature); err != nil {
		return fmt.Errorf("it is not base64: %w", err)
	}
	var claim struct {
		Critical struct {
			Type string `json:"type"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(candidate.Payload, &claim); err != nil {
		return fmt.Errorf("its payload is not in the simple signing format: %w", err)
	}
	// What the same key says about an image in another context is no
	// signature, although the formats are alike (Binary Authorization's).
	if claim.Critical.Type != payload.CosignSignatureType {
		return fmt.Errorf("its payload is of type %.40q, not %q", claim.Critical.Type, payload.CosignSignatureType)
	}
	return nil
}
