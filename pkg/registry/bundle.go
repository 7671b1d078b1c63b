package registry

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// fetchBundles fetches the bundles. One that cannot be read does not hide the
// others: it is in the error, which comes besides.
func (s *search) fetchBundles(ctx context.Context, descriptors []layer) ([]Candidate, error) {
	if len(descriptors) > s.limits.Signatures {
		return nil, validator.Errorf(validator.TooLarge, "%s are more than the %d that are allowed", s.bundles(), s.limits.Signatures)
	}
	var (
		group    errgroup.Group
		mu       sync.Mutex
		together = s.limits.allAttestations()
		fetched  = make([][]Candidate, len(descriptors))
		errs     = make([]error, len(descriptors))
	)
	afford := func(n int64) bool {
		mu.Lock()
		defer mu.Unlock()
		together -= n
		return together >= 0
	}
	group.SetLimit(parallelPayloads)
	for i, d := range descriptors {
		group.Go(func() error {
			fetched[i], errs[i] = s.fetchReferrer(ctx, d, afford)
			return nil
		})
	}
	_ = group.Wait() // what fails is in errs
	return slices.Concat(fetched...), worst(errs)
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

// fetchReferrer fetches what a manifest holds; nothing if that is not wanted.
func (s *search) fetchReferrer(ctx context.Context, d layer, afford func(int64) bool) ([]Candidate, error) {
	got, err := s.manifest(ctx, d.Digest, signatureTypes)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(got.header.Get("Content-Type"), got.body, s.limits.Signatures)
	if err != nil {
		return nil, validator.Errorf(validator.MalformedSignature, "%s: the manifest %s is malformed: %w", s.bundles(), d.Digest, err)
	}
	switch cmp.Or(m.ArtifactType, m.Config.MediaType) {
	case referringSignatures:
		return s.layersOf(ctx, s.bundles(), got, signatureForm)
	case referringAttestations:
		if len(s.want.Attestations) == 0 {
			return nil, nil
		}
		return s.layersOf(ctx, s.bundles(), got, attestationForm)
	}
	for _, l := range m.Layers.list {
		if isBundle(l.MediaType) && s.want.predicate(m.Annotations[bundlePredicate]) {
			return s.fetchBundle(ctx, d, l, afford)
		}
	}
	return nil, nil
}

// fetchBundle fetches a bundle, one of the manifest's layers.
func (s *search) fetchBundle(ctx context.Context, d, l layer, afford func(int64) bool) ([]Candidate, error) {
	limit := s.limits.PayloadBytes
	if len(s.want.Attestations) > 0 {
		limit = max(limit, s.limits.AttestationBytes)
	}
	switch {
	case !validDigest(l.Digest) || l.Size < 0:
		return nil, validator.Errorf(validator.MalformedSignature, "%s: the manifest %s is malformed: a layer has no valid digest and size", s.bundles(), d.Digest)
	case l.Size > limit:
		return nil, validator.Errorf(validator.TooLarge, "%s: a bundle is larger than the %d bytes that are allowed", s.bundles(), limit)
	case !afford(l.Size):
		return nil, validator.Errorf(validator.TooLarge, "%s together are larger than the %d bytes that are allowed", s.bundles(), s.limits.allAttestations())
	}
	content, err := s.blob(ctx, s.bundles(), l)
	if err != nil {
		return nil, err
	}
	return []Candidate{{Kind: Bundle, Payload: content}}, nil
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
