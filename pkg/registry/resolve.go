package registry

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// imageTypes are the manifests that a runtime would ask for.
var imageTypes = strings.Join([]string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}, ", ")

// Resolve returns the digest that the reference's tag stands for now, as the
// registry says; a digest beside the tag does not matter. A reference without
// a tag is its digest, and costs no request. The error is a *validator.Error.
//
// OCI distribution specification, sections "Checking if content exists in the
// registry" and "Pulling manifests".
func (a *Access) Resolve(ctx context.Context, ref image.Reference) (image.Digest, error) {
	if ref.Tag() == "" && ref.Digest() != "" {
		return ref.Digest(), nil
	}
	ctx, span := observability.StartSpan(ctx, observability.SpanResolve)
	defer span.End()
	ctx, end := a.client.begin(ctx)
	defer end()
	t, err := a.client.hosts.target(ref)
	if err != nil {
		return "", err
	}
	q := question{method: http.MethodHead, path: "manifests/" + ref.Tag(), accept: imageTypes, limit: a.client.limits.ManifestBytes}
	got, err := a.ask(ctx, t, q)
	if err != nil {
		return "", err
	}
	if got.status == http.StatusOK {
		if d := got.digest(); validDigest(d) {
			return d, nil
		}
	}
	switch got.status {
	case http.StatusOK, http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		// HEAD is not spoken here, or not well.
		q.method = http.MethodGet
		if got, err = a.ask(ctx, t, q); err != nil {
			return "", err
		}
	}
	return got.manifestDigest(t, ref)
}

// digest is what the answer says the digest of its content is.
func (g *answer) digest() image.Digest {
	return image.Digest(g.header.Get("Docker-Content-Digest"))
}

// manifestDigest is the digest of the manifest that the answer holds.
func (g *answer) manifestDigest(t target, ref image.Reference) (image.Digest, error) {
	switch g.status {
	case http.StatusOK:
	case http.StatusNotFound:
		return "", validator.Errorf(validator.ImageNotFound,
			"image %s does not exist: registry %s knows no tag %q in %s; check the name and the tag", ref, t.host, ref.Tag(), t.repository)
	default:
		return "", g.refused(t, ref.String())
	}
	claimed := g.digest()
	if !validDigest(claimed) {
		return digestOf(g.body), nil
	}
	if !matches(g.body, claimed) {
		return "", validator.Errorf(validator.DigestMismatch,
			"registry %s sent a manifest for %s that does not have the digest %s which it claims", t.host, ref, claimed)
	}
	return claimed, nil
}
