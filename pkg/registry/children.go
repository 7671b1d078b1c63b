package registry

import (
	"context"
	"net/http"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// maxChildren bounds the manifests of an index that each must be verified.
	maxChildren = 64
	// referenceTypeAnnotation marks what BuildKit keeps in an index beside the
	// images: attestations, which no runtime can choose.
	referenceTypeAnnotation = "vnd.docker.reference.type"
)

// Children lists the manifests from which a runtime chooses one when it runs
// the reference's digest; none if that is no index. The reference must have a
// digest. The error is a *validator.Error.
func (a *Access) Children(ctx context.Context, ref image.Reference) ([]image.Digest, error) {
	if !validDigest(ref.Digest()) {
		return nil, validator.Errorf(validator.InvalidReference, "%s has no valid digest", ref)
	}
	t, err := a.client.hosts.target(ref)
	if err != nil {
		return nil, err
	}
	ctx, end := a.client.begin(ctx)
	defer end()
	got, err := a.ask(ctx, t, question{method: http.MethodGet, path: "manifests/" + string(ref.Digest()), accept: imageTypes, limit: a.client.limits.ManifestBytes})
	switch {
	case err != nil:
		return nil, err
	case got.status == http.StatusNotFound:
		return nil, validator.Errorf(validator.ImageNotFound, "image %s does not exist: registry %s knows no such digest in %s", ref, t.host, t.repository)
	case got.status != http.StatusOK:
		return nil, got.refused(t, ref.String())
	case !matches(got.body, ref.Digest()):
		return nil, validator.Errorf(validator.DigestMismatch, "registry %s sent something else than the manifest %s that it was asked for", t.host, ref.Digest())
	}
	i, ok, err := parseIndex(got.header.Get("Content-Type"), got.body, maxChildren)
	switch {
	case err != nil:
		return nil, validator.Errorf(validator.InvalidReference, "the index %s is malformed: %w", ref, err)
	case !ok:
		return nil, nil
	case unambiguous(got.body) != nil:
		return nil, validator.Errorf(validator.InvalidReference, "the index %s is malformed: %w", ref, unambiguous(got.body))
	case i.Manifests.over:
		return nil, validator.Errorf(validator.TooLarge, "the index %s has more than the %d manifests that are allowed", ref, maxChildren)
	}
	return runnable(ref, i.Manifests.list)
}

// runnable are the manifests of an index that a runtime may choose.
func runnable(ref image.Reference, manifests []layer) ([]image.Digest, error) {
	var digests []image.Digest
	for _, m := range manifests {
		if !validDigest(m.Digest) {
			return nil, validator.Errorf(validator.InvalidReference, "the index %s is malformed: a manifest has no valid digest", ref)
		}
		// Both must be so, and nothing else: a platform that is only claimed to
		// be unknown beside a real one would be chosen.
		if p := m.Platform; p != nil && *p == (platform{Architecture: "unknown", OS: "unknown"}) && m.Annotations[referenceTypeAnnotation] != "" {
			continue
		}
		digests = append(digests, m.Digest)
	}
	if len(digests) == 0 {
		return nil, validator.Errorf(validator.InvalidReference, "the index %s holds no image that can run", ref)
	}
	return digests, nil
}
