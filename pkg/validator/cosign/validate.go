package cosign

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// bound is a Cosign with the settings of one rule.
type bound struct {
	quorum      trust.Quorum
	access      Access
	fingerprint string
}

// Fingerprint covers the quorum and every key of it.
func (b *bound) Fingerprint() string { return b.fingerprint }

// Validate resolves a tag once, and verifies the signatures of that digest.
func (b *bound) Validate(ctx context.Context, req validator.Request) (validator.Result, error) {
	access, err := b.access(ctx, req.Identity)
	if err != nil {
		return validator.Result{}, err
	}
	ref := req.Image
	if ref.Digest() == "" {
		digest, err := access.Resolve(ctx, ref)
		if err != nil {
			return validator.Result{}, err
		}
		ref = ref.WithDigest(digest)
	}
	hash, err := v1.NewHash(string(ref.Digest()))
	if err != nil {
		return validator.Result{}, validator.Errorf(validator.InvalidReference, "cannot use the digest: %w", err)
	}
	signatures, err := access.Signatures(ctx, ref)
	if err != nil {
		return validator.Result{}, err
	}
	if len(signatures) == 0 {
		return validator.Result{}, validator.Errorf(validator.NoSignature, "no signature is attached to %s", ref.Digest())
	}
	return b.check(ctx, signatures, hash)
}

// check verifies the signatures against each trust root until the quorum is
// reached, and otherwise says what came nearest to it.
func (b *bound) check(ctx context.Context, signatures []registry.Signature, hash v1.Hash) (validator.Result, error) {
	var signed []string
	var nearest *validator.Error
	for _, root := range b.quorum.Roots {
		ok, err := signedBy(ctx, root, signatures, hash)
		if ctx.Err() != nil {
			return validator.Result{}, validator.AsError(ctx.Err())
		}
		if ok {
			signed = append(signed, root.Name)
		} else if err != nil && (nearest == nil || severity(err.Reason) > severity(nearest.Reason)) {
			nearest = err
		}
		if b.quorum.Check(signed) == nil {
			return validator.Result{Digest: image.Digest(hash.String()), TrustRoots: signed}, nil
		}
	}
	if err := b.quorum.Unavailable(); err != nil {
		return validator.Result{}, err
	}
	if len(signed) == 0 && nearest != nil && nearest.Reason != validator.UntrustedSigner {
		return validator.Result{}, nearest
	}
	return validator.Result{}, b.quorum.Check(signed)
}

// severity orders what can be wrong with a signature by how much it says: a
// signature by the right key for another image more than one by a stranger.
func severity(reason validator.Reason) int {
	switch reason {
	case validator.DigestMismatch:
		return 2
	case validator.UntrustedSigner:
		return 1
	}
	return 0
}

// signedBy tells whether one of the signatures is by the trust root. The error
// is the most telling of why none is.
func signedBy(ctx context.Context, root trust.Root, signatures []registry.Signature, hash v1.Hash) (bool, *validator.Error) {
	var nearest *validator.Error
	for _, key := range root.Keys {
		for _, signature := range signatures {
			if err := ctx.Err(); err != nil {
				return false, validator.AsError(err)
			}
			err := verify(ctx, key, signature, hash)
			if err == nil {
				return true, nil
			}
			if nearest == nil || severity(err.Reason) > severity(nearest.Reason) {
				nearest = err
			}
		}
	}
	return false, nearest
}
