package validator

import (
	"context"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// Request asks whether an image is trusted.
type Request struct {
	// Image is what to verify. With a digest, that digest; with only a tag,
	// the digest that the tag stands for now.
	Image image.Reference
	// Identity is whose pull credentials may be used. It is zero where the
	// validator uses none, so that results are shared.
	Identity Identity
}

// Result says what was established about an image. A result without a digest
// is for images that a rule allows without verification.
type Result struct {
	// Allowed is set where nothing was verified because the configuration
	// says that nothing needs to be.
	Allowed bool
	// Digest is what was verified, and what must run.
	Digest image.Digest
	// TrustRoots are the names of the trust roots whose signatures were
	// verified, in the order of the configuration.
	TrustRoots []string
	// Signers names who made those signatures, for people: a trust root, and the
	// key or the certificate's subject and issuer.
	Signers []string
	// Warnings say what is wrong with the signatures, and was let pass because the
	// rule has it so, in words for people.
	Warnings []string
	// Expires is when the earliest of the certificates or metadata expires
	// that the result relies on; zero if none does.
	Expires time.Time
	// Cached is set by a cache where no verification was needed.
	Cached bool
	// Seen is for a Witness: what the result was established from. It is empty where
	// an outcome depends on nothing that was seen before.
	Seen string
}

// Validator verifies images with the settings of one rule. Implementations are
// safe for concurrent use and hold no state that changes an outcome.
type Validator interface {
	// Fingerprint identifies everything but the request that an outcome
	// depends on: the kind of validator, each effective setting, and the
	// content of the trust material. Equal fingerprints may share results.
	Fingerprint() string
	// Validate returns what was verified, or an *Error that says why not.
	// Any other error is taken for Internal.
	Validate(ctx context.Context, req Request) (Result, error)
}

// Memory tells what was verified before.
type Memory interface {
	// Known returns what was last established about the image, if that was a trusted
	// signature, with everything that the outcome depends on as it is now, not longer
	// ago than maxAge, and if nothing that it relies on has expired since. A tag
	// without a digest is known by the digest that it stood for then.
	Known(req Request, maxAge time.Duration) (Result, bool)
}

// Witness is a Validator whose outcomes depend on what this replica has seen
// before, which no fingerprint covers.
type Witness interface {
	// Holds tells whether a result that another replica established from seen would
	// be one here too, where something newer may have been seen.
	Holds(req Request, seen string) bool
}

// Holds tells whether a result of another replica, with the same fingerprint, is
// one of this replica's validator too. One that nobody can judge is not.
func Holds(v Validator, req Request, result Result) bool {
	if witness, ok := v.(Witness); ok {
		return witness.Holds(req, result.Seen)
	}
	return result.Seen == ""
}

// Resolver tells which digest a tag stands for now.
type Resolver interface {
	// Resolve returns the digest of the reference's tag, or an *Error.
	Resolve(ctx context.Context, req Request) (image.Digest, error)
}
