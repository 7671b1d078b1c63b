package registry

import (
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Kind is the form of a candidate.
type Kind int

// The kinds of candidates.
const (
	// SimpleSigning is a signature over a payload in the simple signing format.
	SimpleSigning Kind = iota
	// Envelope is an attestation: a DSSE envelope around an in-toto statement.
	Envelope
	// Bundle is a Sigstore bundle around either.
	Bundle
	// JWS and COSE are the forms of signatures of the Notary Project.
	JWS
	COSE
)

// Candidate is a signature or an attestation that was found beside an image,
// and is not verified in any way. What it holds may be shared and must not be
// changed.
type Candidate struct {
	Kind Kind
	// Payload is what was signed, the envelope, or the bundle, whole; it has the
	// digest that the manifest says.
	Payload []byte
	// Base64Signature is the signature over a payload in the simple signing
	// format, as it was found.
	Base64Signature string
	// Annotations hold what belongs to a candidate that is no bundle:
	// certificate, chain, log entry, timestamp. None but signing clients' own
	// are there.
	Annotations map[string]string
}

// Wanted says what is looked for beside an image, and where.
type Wanted struct {
	// Repository holds what is attached, if it is not the image's own.
	Repository image.Reference
	// Signature is the predicate type of bundles that are signatures.
	Signature string
	// Attestations are predicate types that are wanted besides.
	Attestations []string
	// NotaryProject has signatures of the Notary Project looked for, and nothing
	// else.
	NotaryProject bool
}

// predicate tells whether a predicate type is wanted that somebody claims.
// Where nothing is claimed the content will tell.
func (w Wanted) predicate(claimed string) bool {
	return claimed == "" || claimed == w.Signature || slices.Contains(w.Attestations, claimed)
}

// search is a look for what is attached to one image.
type search struct {
	access *Access
	target target
	ref    image.Reference
	want   Wanted
	limits Limits

	mu     sync.Mutex
	layers int   // of referrers that hold no bundle, so far
	bytes  int64 // of those
}

// place is where something can be attached, and what a place that had it says
// about the repository and the registry.
type place struct {
	look   func(context.Context) ([]Candidate, error)
	habits map[string]habit
}

// finding is what one place had. There may be some although others could not be
// read.
type finding struct {
	place      place
	candidates []Candidate
	err        error
}

// Attached yields what is attached to the reference's digest, place by place, in
// the order in which it is probably found soonest, and asks no further when the
// loop ends: .sig and .att tags, OCI 1.1 referrers, and the tag that stands in
// for those. Signatures of the Notary Project are in the last two only. The reference must have a digest. An error is a *validator.Error
// and says that one place could not be read, at least in part; others follow.
// What was yielded is paid for until the loop ends.
func (a *Access) Attached(ctx context.Context, ref image.Reference, want Wanted) iter.Seq2[[]Candidate, error] {
	return func(yield func([]Candidate, error) bool) {
		if !validDigest(ref.Digest()) {
			yield(nil, validator.Errorf(validator.InvalidReference, "%s has no valid digest, so that nothing can have signed it", ref))
			return
		}
		within := ref
		if !want.Repository.IsZero() {
			within = want.Repository
		}
		t, err := a.client.hosts.target(within)
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, end := a.client.begin(ctx)
		defer end()
		s := &search{access: a, target: t, ref: ref, want: want, limits: a.client.limits}
		for _, stage := range s.stages() {
			for found := range inParallel(ctx, stage) {
				if len(found.candidates) == 0 && found.err == nil {
					continue
				}
				if !yield(found.candidates, found.err) {
					s.learn(found.place)
					return
				}
			}
		}
	}
}

// inParallel yields what the places have as soon as each is known. The end of
// the loop ends what is still under way.
func inParallel(ctx context.Context, places []place) iter.Seq[finding] {
	return func(yield func(finding) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		found := make(chan finding, len(places))
		for _, p := range places {
			go func() { found <- p.find(ctx) }()
		}
		for range places {
			if !yield(<-found) {
				return
			}
		}
	}
}

// find looks. A panic is this place's failure and nothing more.
func (p place) find(ctx context.Context) (f finding) {
	defer func() {
		if r := recover(); r != nil {
			f = finding{place: p, err: unexpected(r)}
		}
	}()
	candidates, err := p.look(ctx)
	return finding{place: p, candidates: candidates, err: err}
}
