package registrytest

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Attestation is the platform of attestation manifests, which BuildKit adds to
// an index.
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
const Attestation = "unknown/unknown"

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"`
}

// PushIndex stores an index of new random images, one for each platform such as
// linux/arm64/v8 or Attestation, under repository:tag. An attestation manifest
// is about the image before it. The images have no tags.
func (r *Registry) PushIndex(tb TB, name string, platforms ...string) (Image, []Image) {
	tb.Helper()
	repository, tag, ok := strings.Cut(name, ":")
	if !ok {
		tag = "latest"
	}
	var manifests []descriptor
	var children []Image
	for i, p := range platforms {
		d := r.pushImage(tb, repository, "")
		parts := append(strings.Split(p, "/"), "", "")
		d.Platform = &platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
		if p == Attestation && i > 0 {
			d.Annotations = map[string]string{
				"vnd.docker.reference.type":   "attestation-manifest",
				"vnd.docker.reference.digest": children[i-1].Digest,
			}
		}
		manifests = append(manifests, d)
		children = append(children, Image{Host: r.Host(), Repository: repository, Digest: d.Digest})
	}
	digest := r.PutManifest(tb, repository, tag, string(types.OCIImageIndex), encode(tb, index(manifests)))
	return Image{Host: r.Host(), Repository: repository, Tag: tag, Digest: digest}, children
}
