package registrytest

import (
	"maps"
	"net/http"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Artifact is what Attach attaches.
type Artifact struct {
	// ArtifactType is the manifest's; empty means that it has none.
	ArtifactType string
	// MediaType and Content are those of the only layer.
	MediaType string
	Content   []byte
	// Annotations are the manifest's.
	Annotations map[string]string
}

// attachment is what is stored and how it is listed.
type attachment struct {
	subject  descriptor
	layer    layer
	manifest []byte // instead of the right one
	listed   []func(*descriptor)
	unlisted bool
}

// AttachOption attaches or lists an artifact otherwise than it should be.
type AttachOption func(*attachment)

// ListedType lists the artifact with another artifact type.
func ListedType(artifactType string) AttachOption {
	return listed(func(d *descriptor) { d.ArtifactType = artifactType })
}

// ListedMediaType lists the manifest with another media type.
func ListedMediaType(mediaType string) AttachOption {
	return listed(func(d *descriptor) { d.MediaType = mediaType })
}

// ListedSize lists the manifest with another size.
func ListedSize(size int) AttachOption { return listed(func(d *descriptor) { d.Size = size }) }

// ListedAnnotations lists the artifact with other annotations.
func ListedAnnotations(annotations map[string]string) AttachOption {
	return listed(func(d *descriptor) { d.Annotations = annotations })
}

func listed(change func(*descriptor)) AttachOption {
	return func(a *attachment) { a.listed = append(a.listed, change) }
}

// Unlisted does not list the artifact under the referrers tag. A referrers API
// lists it nevertheless.
func Unlisted() AttachOption { return func(a *attachment) { a.unlisted = true } }

// SubjectDigest makes the artifact name another subject than that under which
// it is listed.
func SubjectDigest(digest string) AttachOption {
	return func(a *attachment) { a.subject.Digest = digest }
}

// LayerSize gives the layer another size in the manifest.
func LayerSize(size int) AttachOption { return func(a *attachment) { a.layer.Size = size } }

// LayerDigest gives the layer another digest in the manifest.
func LayerDigest(digest string) AttachOption {
	return func(a *attachment) { a.layer.Digest = digest }
}

// Manifest stores these bytes instead of the artifact's manifest.
func Manifest(manifest []byte) AttachOption { return func(a *attachment) { a.manifest = manifest } }

// Attach stores an artifact that refers to an image and returns its manifest's
// digest (Delete takes it in place of a tag). Where the registry has no referrers API, it lists it under the
// referrers tag, as a client has to.
// OCI distribution specification 1.1, "Pushing Manifests with Subject".
func (r *Registry) Attach(tb TB, img Image, artifact Artifact, options ...AttachOption) (digest string) {
	tb.Helper()
	a := &attachment{
		subject: r.subject(tb, img),
		layer: layer{
			MediaType: artifact.MediaType, Size: len(artifact.Content), Digest: r.PutBlob(tb, img.Repository, artifact.Content),
		},
	}
	for _, option := range options {
		option(a)
	}
	raw := a.manifest
	if raw == nil {
		raw = r.artifactManifest(tb, img.Repository, artifact, a)
	}
	digest = r.PutManifest(tb, img.Repository, digestOf(raw), string(types.OCIManifestSchema1), raw)
	entry := descriptor{MediaType: string(types.OCIManifestSchema1), Size: len(raw), Digest: digest}
	entry = r.complete(img.Repository, entry)
	if !r.settings.referrers {
		// The specification has clients list annotations, but cosign does not.
		entry.Annotations = nil
	}
	for _, change := range a.listed {
		change(&entry)
	}
	if !a.unlisted {
		r.list(tb, img, entry)
	}
	return digest
}

func (r *Registry) artifactManifest(tb TB, repository string, artifact Artifact, a *attachment) []byte {
	tb.Helper()
	config := []byte("{}")
	m := map[string]any{
		"schemaVersion": 2,
		"mediaType":     types.OCIManifestSchema1,
		"config": descriptor{
			MediaType: emptyMediaType, Size: len(config), Digest: r.PutBlob(tb, repository, config),
			ArtifactType: artifact.ArtifactType, // cosign writes it here too
		},
		"layers":  []layer{a.layer},
		"subject": a.subject,
	}
	if artifact.ArtifactType != "" {
		m["artifactType"] = artifact.ArtifactType
	}
	if len(artifact.Annotations) > 0 {
		m["annotations"] = maps.Clone(artifact.Annotations)
	}
	return encode(tb, m)
}

// list adds a referrer to those of an image.
func (r *Registry) list(tb TB, img Image, d descriptor) {
	tb.Helper()
	r.signing.Lock()
	defer r.signing.Unlock()
	key := img.Repository + "@" + img.Digest
	r.referrers[key] = append(r.referrers[key], d)
	if r.settings.referrers {
		return
	}
	r.PutManifest(tb, img.Repository, img.ReferrersTag(), string(types.OCIImageIndex), encode(tb, index(r.referrers[key])))
}

// subject describes an image as its referrers do.
func (r *Registry) subject(tb TB, img Image) descriptor {
	tb.Helper()
	got := r.do(http.MethodGet, "/v2/"+img.Repository+"/manifests/"+img.Digest, "", nil)
	if got.Code != http.StatusOK {
		tb.Fatalf("attach to %s: %d", img.ByDigest(), got.Code)
	}
	return descriptor{MediaType: got.Header().Get("Content-Type"), Size: got.Body.Len(), Digest: img.Digest}
}
