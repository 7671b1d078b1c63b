package registry

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// bundlePrefix begins the media types of Sigstore bundles, of any version.
	bundlePrefix = "application/vnd.dev.sigstore.bundle"
	emptyConfig  = types.MediaType("application/vnd.oci.empty.v1+json")
	// What cosign attaches with --registry-referrers-mode=oci-1-1: what is
	// otherwise under the .sig or .att tag.
	referringSignatures   = types.MediaType("application/vnd.dev.cosign.artifact.sig.v1+json")
	referringAttestations = types.MediaType("application/vnd.dev.cosign.artifact.att.v1+json")
	// bundlePredicate is the annotation that says what a bundle attests.
	bundlePredicate = "dev.sigstore.bundle.predicateType"
	// maxReferrers bounds the manifests that refer to one image, of any kind.
	maxReferrers = 2000
	// maxPages bounds the pages in which a registry lists them.
	maxPages = 10
)

var indexTypes = string(types.OCIImageIndex) + ", " + string(types.DockerManifestList)

// listed finds the bundles that the registry lists as referrers. OCI
// distribution specification, section "Listing Referrers".
func (s *search) listed(ctx context.Context) ([]Candidate, error) {
	var all []layer
	q := question{method: http.MethodGet, path: "referrers/" + string(s.ref.Digest()), accept: string(types.OCIImageIndex), limit: s.limits.ManifestBytes}
	for range maxPages {
		got, err := s.access.ask(ctx, s.target, q)
		if err != nil {
			return nil, err
		}
		switch got.status {
		case http.StatusOK:
		case http.StatusNotFound, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable, http.StatusNotImplemented:
			return nil, nil // this is not spoken here
		default:
			return nil, got.refused(s.target, s.bundles())
		}
		page, err := s.descriptors(got)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if q.query = nextPage(got.header); q.query == "" {
			return s.fetchBundles(ctx, all)
		}
	}
	return nil, validator.Errorf(validator.TooLarge, "%s are listed on more than the %d pages that are allowed", s.bundles(), maxPages)
}

// nextPage is the query of the next page, of whose address nothing else is
// followed; empty if there is none.
func nextPage(header http.Header) string {
	link, rel, _ := strings.Cut(header.Get("Link"), ";")
	if !strings.Contains(rel, "next") {
		return ""
	}
	next, err := url.Parse(strings.Trim(strings.TrimSpace(link), "<>"))
	if err != nil {
		return ""
	}
	return next.RawQuery
}

// fallback finds the bundles that clients list under a tag for registries that
// do not. OCI distribution specification, section "Referrers Tag Schema".
func (s *search) fallback(ctx context.Context) ([]Candidate, error) {
	tag := fallbackTag(s.ref.Digest())
	if len(tag) > maxTagLength {
		return nil, nil
	}
	got, err := s.access.ask(ctx, s.target, question{method: http.MethodGet, path: "manifests/" + tag, accept: indexTypes, limit: s.limits.ManifestBytes})
	switch {
	case err != nil:
		return nil, err
	case got.status == http.StatusNotFound:
		return nil, nil
	case got.status != http.StatusOK:
		return nil, got.refused(s.target, s.bundles())
	}
	descriptors, err := s.descriptors(got)
	if err != nil {
		return nil, err
	}
	return s.fetchBundles(ctx, descriptors)
}

// bundles names what is looked for in messages.
func (s *search) bundles() string { return "the bundles of " + s.ref.String() }

// descriptors are those of the answer that may be bundles that are wanted.
func (s *search) descriptors(got *answer) ([]layer, error) {
	i, ok, err := parseIndex(got.header.Get("Content-Type"), got.body, maxReferrers)
	switch {
	case err != nil:
		return nil, validator.Errorf(validator.MalformedSignature, "the list of %s is malformed: %w", s.bundles(), err)
	case !ok:
		return nil, nil // whatever is there, it is no list
	case i.Manifests.over:
		return nil, validator.Errorf(validator.TooLarge, "more than the %d manifests that are allowed refer to %s", maxReferrers, s.ref)
	}
	var found []layer
	for _, d := range i.Manifests.list {
		if !relevant(d.ArtifactType) || !s.want.predicate(d.Annotations[bundlePredicate]) {
			continue
		}
		if !validDigest(d.Digest) {
			return nil, validator.Errorf(validator.MalformedSignature, "the list of %s is malformed: a manifest has no valid digest", s.bundles())
		}
		found = append(found, d)
	}
	return found, nil
}

// relevant tells whether a manifest of that artifact type can hold what is
// looked for. Some clients and registries take the type of the empty config for
// it, or none: then the manifest itself will tell.
func relevant(artifactType types.MediaType) bool {
	switch artifactType {
	case "", emptyConfig, referringSignatures, referringAttestations:
		return true
	}
	return isBundle(artifactType)
}

func isBundle(mediaType types.MediaType) bool {
	return strings.HasPrefix(string(mediaType), bundlePrefix)
}

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
