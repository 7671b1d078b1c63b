package cosign

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/semaphore"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// largeBytes is what a candidate may have that is decoded beside others. What
	// is decoded takes many times as much memory, so larger ones wait for each
	// other.
	largeBytes = 128 << 10
	// maxLookups bounds the look-ups in the online log for one image.
	maxLookups = 4
)

var large = semaphore.NewWeighted(1)

// tally is how far the demands of a rule are met for one digest. The zero value
// meets none.
type tally struct {
	*bound
	digest image.Digest
	met    []progress
	// failure is why something could not be looked at.
	failure *validator.Error
	lookups int      // in the online log, so far
	others  []string // predicate types of attestations that nothing demands
}

// progress is how far one demand is met.
type progress struct {
	signed  []trust.Signed
	found   bool             // something of the kind is attached
	nearest *validator.Error // what came nearest to meeting it
}

// consider takes one candidate into account. A panic in a library makes it a
// malformed signature and nothing more.
func (t *tally) consider(ctx context.Context, found registry.Candidate) {
	defer func() {
		if p := recover(); p != nil {
			t.malformed(fmt.Errorf("%v", p))
		}
	}()
	if len(found.Payload) > largeBytes {
		if err := large.Acquire(ctx, 1); err != nil {
			t.failure = validator.Worse(t.failure, validator.AsError(err))
			return
		}
		defer large.Release(1)
	}
	c, err := parse(found)
	if err != nil {
		t.malformed(err)
		return
	}
	t.note(c.claim.predicateType)
	var signed []trust.Signed
	var failure *validator.Error
	verified := false
	for i, d := range t.demands {
		if d.predicateType != c.claim.predicateType {
			continue
		}
		if !verified { // once, whatever demands there are for it
			signed, failure = t.signedBy(ctx, c)
			verified = true
		}
		p := &t.met[i]
		p.found = true
		if len(signed) == 0 {
			p.nearest = validator.Worse(p.nearest, failure)
			continue
		}
		if err := d.holds(ctx, c.claim); err != nil {
			p.nearest = validator.Worse(p.nearest, err)
			continue
		}
		p.signed = append(p.signed, signed...)
	}
	if failure != nil && failure.Reason.Inconclusive() {
		t.failure = validator.Worse(t.failure, failure)
	}
}

// note remembers the type of something that nothing demands, for messages.
func (t *tally) note(predicateType string) {
	if !slices.ContainsFunc(t.demands, func(d demand) bool { return d.predicateType == predicateType }) && len(t.others) < 4 {
		t.others = append(t.others, validator.Quote(predicateType))
	}
}

// instead says what there is, or where it was looked, for messages about what
// there is not.
func (t *tally) instead() (text string) {
	if !t.wanted.Repository.IsZero() {
		text += fmt.Sprintf(" in %s", t.wanted.Repository.Name())
	}
	for i := range t.met {
		if i > 0 && t.met[i].found {
			return text + " (an attestation is, which does not count as a signature)"
		}
	}
	if len(t.others) > 0 {
		text += fmt.Sprintf(" (but there are attestations: %s)", strings.Join(t.others, ", "))
	}
	return text
}

// malformed notes a candidate that cannot be read. An attestation that cannot is
// not told from a signature.
func (t *tally) malformed(err error) {
	p := &t.met[0]
	p.found = true
	p.nearest = validator.Worse(p.nearest, validator.Errorf(validator.MalformedSignature, "a signature cannot be read: %s", validator.Quote(err.Error())))
}

// signedBy tells who signed the candidate. The error is the most telling of why
// others did not.
func (t *tally) signedBy(ctx context.Context, c *candidate) (signed []trust.Signed, nearest *validator.Error) {
	for _, s := range t.signers {
		if t.online != nil && len(c.entries) == 0 && t.lookups < maxLookups && s.claimed(c) == nil {
			t.lookups++
			if err := t.online.find(ctx, s, c); err != nil {
				nearest = validator.Worse(nearest, err)
				continue
			}
		}
		by, err := s.verify(c, t.digest)
		signed = append(signed, by...)
		nearest = validator.Worse(nearest, err)
	}
	return signed, nearest
}

// unmet is the first demand that is not met, or -1.
func (t *tally) unmet() int {
	for i := range t.demands {
		if t.quorum.Check(t.quorum.Distinct(t.met[i].signed)) != nil {
			return i
		}
	}
	if len(t.demands) == 0 {
		return 0 // nothing demanded is nothing verified
	}
	return -1
}

// verdict says why the demands are not met: what could not be looked at may
// have met them; otherwise what came nearest.
func (t *tally) verdict() *validator.Error {
	if t.failure != nil && t.failure.Reason.Inconclusive() {
		return t.failure
	}
	if err := t.quorum.Unavailable(); err != nil && t.met[0].found {
		return err
	}
	if t.unavailable != nil && t.met[0].found {
		return t.unavailable
	}
	if t.failure != nil {
		return t.failure
	}
	i := t.unmet()
	if i < 0 || i >= len(t.met) {
		return validator.Errorf(validator.Internal, "nothing is demanded")
	}
	p := t.met[i]
	short := t.quorum.Check(t.quorum.Distinct(p.signed))
	switch {
	case !p.found && i == 0:
		return validator.Errorf(validator.NoSignature, "no signature is attached to %s%s", t.digest, t.instead())
	case !p.found:
		return validator.Errorf(validator.MissingRequired, "it is signed, but no %s is attached to %s%s", t.demands[i].what, t.digest, t.instead())
	case len(p.signed) == 0 && p.nearest != nil && p.nearest.Reason != validator.UntrustedSigner:
		return p.nearest
	case i > 0:
		short.Message = "the " + t.demands[i].what + ": " + short.Message
	case len(p.signed) == 0 && p.nearest != nil && t.quorum.Roots[0].ByCertificate():
		short.Message += "; " + p.nearest.Message
	}
	return short
}
