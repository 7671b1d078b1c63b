package registry

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

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
	if s.want.NotaryProject {
		q.query = url.Values{"artifactType": {string(notarySignature)}}.Encode()
	}
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
func (s *search) bundles() string {
	if s.want.NotaryProject {
		return "the signatures of " + s.ref.String()
	}
	return "the bundles of " + s.ref.String()
}

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
		if !s.relevant(d) {
			continue
		}
		if !validDigest(d.Digest) {
			return nil, validator.Errorf(validator.MalformedSignature, "the list of %s is malformed: a manifest has no valid digest", s.bundles())
		}
		found = append(found, d)
	}
	return found, nil
}

// relevant tells whether a manifest can hold what is looked for. Some clients and
// registries take the type of the empty config for its artifact type, or none:
// then the manifest itself will tell.
func (s *search) relevant(d layer) bool {
	if s.want.NotaryProject {
		return d.ArtifactType == notarySignature || d.ArtifactType == ""
	}
	switch d.ArtifactType {
	case "", emptyConfig, referringSignatures, referringAttestations:
	default:
		if !isBundle(d.ArtifactType) {
			return false
		}
	}
	return s.want.predicate(d.Annotations[bundlePredicate])
}

func isBundle(mediaType types.MediaType) bool {
	return strings.HasPrefix(string(mediaType), bundlePrefix)
}
