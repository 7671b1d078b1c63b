package cosign

import (
	"context"
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
	// unavailable is why nothing can be verified now.
	unavailable *validator.Error
	fingerprint string
}

// Fingerprint covers the quorum, every key and identity of it, the trust
// material and every setting.
func (b *bound) Fingerprint() string { return b.fingerprint }

// Validate resolves a tag once, and verifies what is attached to that digest.
func (b *bound) Validate(ctx context.Context, req validator.Request) (validator.Result, error) {
	if b.unavailable != nil {
		return validator.Result{}, b.unavailable
	}
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
	signers, failure := b.verifyPlatforms(ctx, access, ref)
	if failure != nil {
		return validator.Result{}, failure
	}
	return validator.Result{Digest: ref.Digest(), TrustRoots: signers}, nil
}

// verifyPlatforms verifies what the rule demands of an image for several
// platforms.
func (b *bound) verifyPlatforms(ctx context.Context, access Registry, ref image.Reference) ([]string, *validator.Error) {
	switch b.platforms {
	case index:
		return b.verify(ctx, access, ref)
	case each:
		return b.verifyEach(ctx, access, ref)
	case either:
		signers, failure := b.verify(ctx, access, ref)
		if failure == nil || failure.Reason.Inconclusive() {
			return signers, failure
		}
		signers, another := b.verifyEach(ctx, access, ref)
		if another == nil || another.Reason.Inconclusive() {
			return signers, another
		}
		return nil, failure
	}
	return nil, validator.Errorf(validator.Internal, "an unknown setting of platforms")
}

// verifyEach verifies each image of an index, or the image if it is none. The
// trust roots are those that signed one of them.
func (b *bound) verifyEach(ctx context.Context, access Registry, ref image.Reference) ([]string, *validator.Error) {
	children, err := access.Children(ctx, ref)
	if err != nil {
		return nil, validator.AsError(err)
	}
	if len(children) == 0 {
		return b.verify(ctx, access, ref)
	}
	var all []string
	for _, child := range children {
		signers, failure := b.verify(ctx, access, ref.WithDigest(child))
		if failure != nil {
			return nil, &validator.Error{Reason: failure.Reason, Message: "of its images for several platforms, " + string(child) + ": " + failure.Message, Err: failure}
		}
		all = append(all, signers...)
	}
	return slices.DeleteFunc(trust.Names(b.quorum.Roots), func(name string) bool { return !slices.Contains(all, name) }), nil
}

// verify looks at what is attached to one digest until all demands are met, and
// names the trust roots that signed.
func (b *bound) verify(ctx context.Context, access Registry, ref image.Reference) ([]string, *validator.Error) {
	t := &tally{bound: b, digest: ref.Digest(), met: make([]progress, len(b.demands))}
	for found, err := range access.Attached(ctx, ref, b.wanted) {
		t.failure = worse(t.failure, validator.AsError(err))
		for _, candidate := range found {
			if ctx.Err() != nil {
				return nil, validator.AsError(ctx.Err())
			}
			if t.consider(ctx, candidate); t.unmet() < 0 {
				return b.quorum.Distinct(t.met[0].signed), nil
			}
		}
	}
	if ctx.Err() != nil {
		return nil, validator.AsError(ctx.Err())
	}
	return nil, t.verdict()
}
