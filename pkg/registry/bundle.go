package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// referrer is a manifest that refers to the image, and the layer of it that is
// fetched; nil where what it holds has been fetched.
type referrer struct {
	bundle     *layer
	candidates []Candidate
	err        error
}

// fetchBundles fetches what the manifests hold. What cannot be read does not
// hide the rest: it is in the error, which comes besides.
func (s *search) fetchBundles(ctx context.Context, descriptors []layer) ([]Candidate, error) {
	var over error
	if most := s.limits.Signatures; len(descriptors) > most {
		over = validator.Errorf(validator.TooLarge, "%s are more than the %d that are allowed", s.bundles(), most)
		descriptors = descriptors[:most]
	}
	found := make([]*referrer, len(descriptors))
	for i := range found {
		found[i] = &referrer{}
	}
	eachOf(len(found), func(i int) {
		defer found[i].recover()
		found[i].candidates, found[i].bundle, found[i].err = s.fetchReferrer(ctx, descriptors[i])
	})
	// The smallest first: what claims to be large stands in nobody else's way.
	slices.SortStableFunc(found, func(a, b *referrer) int { return cmp.Compare(a.size(), b.size()) })
	var together int64
	for _, r := range found {
		if r.bundle == nil {
			continue
		}
		if together += r.bundle.Size; r.bundle.Size < 0 || together > s.limits.allAttestations() {
			r.err = validator.Errorf(validator.TooLarge, "%s together are larger than the %d bytes that are allowed", s.bundles(), s.limits.allAttestations())
			r.bundle = nil
		}
	}
	eachOf(len(found), func(i int) {
		defer found[i].recover()
		if found[i].bundle != nil {
			found[i].candidates, found[i].err = s.fetchBundle(ctx, *found[i].bundle)
		}
	})
	var candidates []Candidate
	errs := []error{over}
	for _, r := range found {
		candidates, errs = append(candidates, r.candidates...), append(errs, r.err)
	}
	return candidates, worst(errs)
}

func (r *referrer) size() int64 {
	if r.bundle == nil {
		return 0
	}
	return r.bundle.Size
}

// recover makes a panic the failure of one manifest.
func (r *referrer) recover() {
	if p := recover(); p != nil {
		r.candidates, r.bundle, r.err = nil, nil, unexpected(p)
	}
}

// eachOf runs a function for each of n things, a few at a time.
func eachOf(n int, run func(int)) {
	var group errgroup.Group
	group.SetLimit(parallelPayloads)
	for i := range n {
		group.Go(func() error {
			run(i)
			return nil
		})
	}
	_ = group.Wait() // run keeps what fails
}

// unexpected is what a panic makes of a request. Its text may be anybody's, and
// is for the log.
func unexpected(p any) *validator.Error {
	return &validator.Error{Reason: validator.Internal, Message: "what the registry answered could not be handled; the log has the details", Err: fmt.Errorf("panic: %v", p)}
}

// worst is the error that says most: one because of which something may be
// missing before one about what is there.
func worst(errs []error) error {
	var one error
	for _, err := range errs {
		if one == nil || err != nil && validator.AsError(err).Reason.Inconclusive() {
			one = err
		}
	}
	return one
}

// fetchReferrer fetches a manifest, and finds the layer of it that is a bundle;
// what cosign attaches without one it fetches at once. Nothing of both is
// something else, or not wanted.
func (s *search) fetchReferrer(ctx context.Context, d layer) ([]Candidate, *layer, error) {
	got, err := s.manifest(ctx, d.Digest, signatureTypes)
	if err != nil {
		return nil, nil, err
	}
	m, err := parseManifest(got.header.Get("Content-Type"), got.body, s.limits.Signatures)
	if err != nil {
		return nil, nil, validator.Errorf(validator.MalformedSignature, "%s: the manifest %s is malformed: %w", s.bundles(), d.Digest, err)
	}
	if s.want.NotaryProject {
		l, err := s.notaryLayer(d, m)
		return nil, l, err
	}
	switch cmp.Or(m.ArtifactType, m.Config.MediaType) {
	case referringSignatures:
		candidates, err := s.accounted(ctx, got, signatureForm)
		return candidates, nil, err
	case referringAttestations:
		if len(s.want.Attestations) == 0 {
			return nil, nil, nil
		}
		candidates, err := s.accounted(ctx, got, attestationForm)
		return candidates, nil, err
	}
	for _, l := range m.Layers.list {
		if isBundle(l.MediaType) && s.want.predicate(m.Annotations[bundlePredicate]) {
			if err := s.fits(d, l); err != nil {
				return nil, nil, err
			}
			return nil, &l, nil
		}
	}
	return nil, nil, nil
}

// accounted is layersOf for one of many manifests, which together may hold no
// more than one under a tag.
func (s *search) accounted(ctx context.Context, got *answer, f form) ([]Candidate, error) {
	found, err := s.layersIn(s.bundles(), got, f)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	for _, l := range found {
		s.layers, s.bytes = s.layers+1, s.bytes+l.Size
	}
	over := s.layers > s.limits.Signatures || s.bytes > max(s.limits.allPayloads(), s.limits.allAttestations())
	s.mu.Unlock()
	if over {
		return nil, validator.Errorf(validator.TooLarge, "%s together are more, or larger, than is allowed", s.bundles())
	}
	return s.withPayloads(ctx, s.bundles(), f, found)
}

// fits tells whether a bundle is one that may be fetched.
func (s *search) fits(d, l layer) error {
	limit := s.limits.PayloadBytes
	if len(s.want.Attestations) > 0 {
		limit = max(limit, s.limits.AttestationBytes)
	}
	switch {
	case !validDigest(l.Digest) || l.Size < 0:
		return validator.Errorf(validator.MalformedSignature, "%s: the manifest %s is malformed: a layer has no valid digest and size", s.bundles(), d.Digest)
	case l.Size > limit:
		return validator.Errorf(validator.TooLarge, "%s: a bundle is larger than the %d bytes that are allowed", s.bundles(), limit)
	}
	return nil
}

// fetchBundle fetches a bundle, one of the manifest's layers.
func (s *search) fetchBundle(ctx context.Context, l layer) ([]Candidate, error) {
	content, err := s.blob(ctx, s.bundles(), l)
	if err != nil {
		return nil, err
	}
	return []Candidate{{Kind: kindOf(l.MediaType), Payload: content}}, nil
}

// manifest fetches a manifest by its digest.
func (s *search) manifest(ctx context.Context, digest image.Digest, accept string) (*answer, error) {
	got, err := s.access.ask(ctx, s.target, question{method: http.MethodGet, path: "manifests/" + string(digest), accept: accept, limit: s.limits.ManifestBytes})
	switch {
	case err != nil:
		return nil, err
	case got.status == http.StatusNotFound:
		return nil, &validator.Error{Reason: validator.MalformedSignature, Message: s.bundles() + " are incomplete: registry " + s.target.host + " does not have the manifest " + string(digest), Err: errors.New("manifest unknown")}
	case got.status != http.StatusOK:
		return nil, got.refused(s.target, s.bundles())
	case !matches(got.body, digest):
		return nil, validator.Errorf(validator.DigestMismatch, "registry %s sent something else than the manifest %s that it was asked for", s.target.host, digest)
	}
	return got, nil
}
