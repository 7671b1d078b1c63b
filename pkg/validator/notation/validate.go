package notation

import (
	"context"
	"crypto/sha256"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// bound is a Notation with the settings of one rule.
type bound struct {
	*Notation
	quorum      trust.Quorum
	signers     []signerRoot // of the quorum
	level       string
	timestamps  trustpolicy.TimestampOption
	fingerprint string
}

// Fingerprint covers the quorum with all certificates and identities of it, and
// every setting.
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
	t := &tally{bound: b, digest: ref.Digest(), seen: map[[sha256.Size]byte]bool{}, patience: newPatience()}
	for found, err := range access.Attached(ctx, ref, registry.Wanted{NotaryProject: true}) {
		t.failure = validator.Worse(t.failure, validator.AsError(err))
		for _, candidate := range found {
			if ctx.Err() != nil {
				return validator.Result{}, validator.AsError(ctx.Err())
			}
			if t.consider(ctx, candidate); t.reached() {
				return t.result(), nil
			}
		}
	}
	if ctx.Err() != nil {
		return validator.Result{}, validator.AsError(ctx.Err())
	}
	return validator.Result{}, t.verdict()
}

// tally is how far the quorum of a rule is reached for one digest.
type tally struct {
	*bound
	digest   image.Digest
	found    bool // something is attached that may be a signature
	accepted []*accepted
	nearest  *validator.Error // what came nearest to being accepted
	failure  *validator.Error // why something could not be looked at
	seen     map[[sha256.Size]byte]bool
	patience *patience
}

// accepted is a signature that a trust root of the rule accepts.
type accepted struct {
	trust.Signed
	// trusted tells that its signer is: the level audit accepts everybody's.
	trusted bool
	// tolerated says what is wrong with it, which the rule's level lets pass.
	tolerated []string
	expires   time.Time
}

// consider takes one candidate into account. A panic in a library makes it a
// malformed signature and nothing more.
func (t *tally) consider(ctx context.Context, found registry.Candidate) {
	t.found = true
	sum := sha256.Sum256(found.Payload)
	if t.seen[sum] { // the same signature, attached once more
		return
	}
	t.seen[sum] = true
	defer func() {
		if p := recover(); p != nil {
			t.nearest = validator.Worse(t.nearest, &validator.Error{
				Reason:  validator.MalformedSignature,
				Message: "a signature cannot be read, because of an internal error",
				Err:     fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
			})
		}
	}()
	c, err := open(found)
	if err != nil {
		t.nearest = validator.Worse(t.nearest, malformed(err))
		return
	}
	roots := t.rootsFor(c)
	if len(roots) == 0 { // nothing is verified for a stranger
		t.nearest = validator.Worse(t.nearest, validator.Errorf(validator.UntrustedSigner, "a signature is by %s", quoted(c)))
		return
	}
	if err := c.read(); err != nil {
		t.nearest = validator.Worse(t.nearest, malformed(err))
		return
	}
	for _, root := range roots {
		by, failure := t.verify(ctx, c, root)
		if failure != nil {
			t.nearest = validator.Worse(t.nearest, failure)
			continue
		}
		t.accepted = append(t.accepted, by)
	}
}

// rootsFor are the trust roots that may accept a signature. Those that are not
// available are not among them, which the verdict says.
func (t *tally) rootsFor(c *candidate) (roots []signerRoot) {
	for _, root := range t.signers {
		if root.Unavailable == nil && (t.level == Audit || c.leadsTo(root.anchors)) {
			roots = append(roots, root)
		}
	}
	return roots
}

func malformed(err error) *validator.Error {
	return validator.Errorf(validator.MalformedSignature, "a signature cannot be read: %s", validator.Quote(err.Error()))
}

// signed tells who signed.
func (t *tally) signed() []trust.Signed {
	signed := make([]trust.Signed, len(t.accepted))
	for i, a := range t.accepted {
		signed[i] = a.Signed
	}
	return signed
}

func (t *tally) reached() bool { return t.quorum.Check(t.quorum.Distinct(t.signed())) == nil }

// result is that of a quorum that is reached.
func (t *tally) result() validator.Result {
	r := validator.Result{Digest: t.digest}
	var trusted []trust.Signed
	named := map[string]bool{} // in full: two may differ only in what is not shown
	for _, a := range t.accepted {
		show := func(signer string) string { return signer + ", who is not trusted" }
		if a.trusted {
			trusted = append(trusted, a.Signed)
			show = func(signer string) string { return fmt.Sprintf("%s (%s)", a.Root, signer) }
		}
		if full := show(a.Signer); !named[full] {
			named[full] = true
			r.Signers = append(r.Signers, show(validator.Quote(a.Signer)))
		}
		for _, what := range a.tolerated {
			what = fmt.Sprintf("%s, which verificationLevel: %s lets pass", what, t.level)
			if !slices.Contains(r.Warnings, what) {
				r.Warnings = append(r.Warnings, what)
			}
		}
		r.Expires = earliest(r.Expires, a.expires)
	}
	r.TrustRoots = t.quorum.Distinct(trusted)
	slices.Sort(r.Signers)
	return r
}

// earliest is the earlier time; zero stands for none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// verdict says why the quorum is not reached: what could not be looked at may
// have been what is missing; otherwise what came nearest.
func (t *tally) verdict() *validator.Error {
	if t.failure != nil && t.failure.Reason.Inconclusive() {
		return t.failure
	}
	if err := t.quorum.Unavailable(); err != nil && t.found {
		return err
	}
	switch {
	case t.nearest != nil && t.nearest.Reason.Inconclusive():
		return t.nearest
	case t.failure != nil:
		return t.failure
	case !t.found:
		return validator.Errorf(validator.NoSignature, "no signature of the Notary Project is attached to %s", t.digest)
	case len(t.accepted) == 0 && t.nearest != nil && t.nearest.Reason != validator.UntrustedSigner:
		return t.nearest
	}
	short := t.quorum.Check(t.quorum.Distinct(t.signed()))
	if len(t.accepted) == 0 && t.nearest != nil {
		short.Message += "; " + t.nearest.Message
	}
	return short
}
