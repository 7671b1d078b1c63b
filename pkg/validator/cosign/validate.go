package cosign

import (
	"context"
	"fmt"
	"iter"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Access is what somebody sees of the registries. The error is a
// *validator.Error.
type Access func(ctx context.Context, who validator.Identity) (Registry, error)

// Registry is what the validator needs of a registry.
type Registry interface {
	// Resolve returns the digest that the reference's tag stands for.
	Resolve(ctx context.Context, ref image.Reference) (image.Digest, error)
	// Attached yields what is attached to the reference's digest, where it is
	// found soonest first. Nothing about it is verified.
	Attached(ctx context.Context, ref image.Reference, want registry.Wanted) iter.Seq2[[]registry.Candidate, error]
	// Children lists the images of the reference's digest, if that is an
	// index.
	Children(ctx context.Context, ref image.Reference) ([]image.Digest, error)
}

// bound is a Cosign with the settings of one rule.
type bound struct {
	quorum    trust.Quorum
	signers   []*signer
	demands   []demand // the signature first, then attestations
	wanted    registry.Wanted
	platforms platforms
	access    Access
	online    *lookup
	// unavailable is why no signature can be verified now.
	unavailable *validator.Error
	fingerprint string
}

// Fingerprint covers the quorum, every key and identity of it, the trust
// material and every setting.
func (b *bound) Fingerprint() string { return b.fingerprint }

// Validate resolves a tag once, and verifies what is attached to that digest.
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
	if _, err := v1.NewHash(string(ref.Digest())); err != nil {
		return validator.Result{}, validator.Errorf(validator.InvalidReference, "cannot use the digest: %w", err)
	}
	signed, failure := b.verifyPlatforms(ctx, access, ref)
	if failure != nil {
		return validator.Result{}, failure
	}
	return validator.Result{Digest: ref.Digest(), TrustRoots: b.quorum.Distinct(signed), Signers: signersOf(signed)}, nil
}

// verifyPlatforms verifies what the rule demands of an image for several
// platforms.
func (b *bound) verifyPlatforms(ctx context.Context, access Registry, ref image.Reference) ([]trust.Signed, *validator.Error) {
	switch b.platforms {
	case index:
		return b.verify(ctx, access, ref)
	case each:
		return b.verifyEach(ctx, access, ref)
	case either:
		signed, failure := b.verify(ctx, access, ref)
		if failure == nil || failure.Reason.Inconclusive() {
			return signed, failure
		}
		signed, another := b.verifyEach(ctx, access, ref)
		if another == nil || another.Reason.Inconclusive() {
			return signed, another
		}
		return nil, failure
	}
	return nil, validator.Errorf(validator.Internal, "an unknown setting of platforms")
}

// verifyEach verifies each image of an index, or the image if it is none.
func (b *bound) verifyEach(ctx context.Context, access Registry, ref image.Reference) ([]trust.Signed, *validator.Error) {
	children, err := access.Children(ctx, ref)
	if err != nil {
		return nil, validator.AsError(err)
	}
	if len(children) == 0 {
		return b.verify(ctx, access, ref)
	}
	var all []trust.Signed
	for _, child := range children {
		signed, failure := b.verify(ctx, access, ref.WithDigest(child))
		if failure != nil {
			return nil, &validator.Error{Reason: failure.Reason, Message: "of its images for several platforms, " + string(child) + ": " + failure.Message, Err: failure}
		}
		all = append(all, signed...)
	}
	return all, nil
}

// verify looks at what is attached to one digest until all demands are met, and
// tells who signed.
func (b *bound) verify(ctx context.Context, access Registry, ref image.Reference) ([]trust.Signed, *validator.Error) {
	t := &tally{bound: b, digest: ref.Digest(), met: make([]progress, len(b.demands))}
	for found, err := range access.Attached(ctx, ref, b.wanted) {
		t.failure = validator.Worse(t.failure, validator.AsError(err))
		for _, candidate := range found {
			if ctx.Err() != nil {
				return nil, validator.AsError(ctx.Err())
			}
			if t.consider(ctx, candidate); t.unmet() < 0 {
				return t.met[0].signed, nil
			}
		}
	}
	if ctx.Err() != nil {
		return nil, validator.AsError(ctx.Err())
	}
	return nil, t.verdict()
}

// signersOf names who signed, each once.
func signersOf(signed []trust.Signed) []string {
	var signers []string
	for _, s := range signed {
		if text := fmt.Sprintf("%s (%s)", s.Root, s.Signer); !slices.Contains(signers, text) {
			signers = append(signers, text)
		}
	}
	slices.Sort(signers)
	return signers
}
