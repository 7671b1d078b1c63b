package registrytest

import (
	"crypto"
	"encoding/base64"
	"maps"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	simpleSigning       = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

// layer is a descriptor of a blob. OCI image specification, "Descriptor".
type layer struct {
	MediaType   string            `json:"mediaType"`
	Size        int               `json:"size"`
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// claim is the simple signing format.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
type claim struct {
	Critical critical       `json:"critical"`
	Optional map[string]any `json:"optional"`
}

type critical struct {
	Identity struct {
		DockerReference string `json:"docker-reference"`
	} `json:"identity"`
	Image struct {
		DockerManifestDigest string `json:"docker-manifest-digest"`
	} `json:"image"`
	Type string `json:"type"`
}

// signing is one signature to be.
type signing struct {
	claim       claim
	payload     []byte // instead of the claim
	signature   *string
	mediaType   string
	annotations map[string]string
}

// SignOption makes a signature other than the right one.
type SignOption func(*signing)

// ClaimDigest signs a payload that names another digest.
func ClaimDigest(digest string) SignOption {
	return func(s *signing) { s.claim.Critical.Image.DockerManifestDigest = digest }
}

// ClaimName signs a payload that names another image, host/repository.
func ClaimName(name string) SignOption {
	return func(s *signing) { s.claim.Critical.Identity.DockerReference = name }
}

// ClaimType signs a payload of another type.
func ClaimType(t string) SignOption { return func(s *signing) { s.claim.Critical.Type = t } }

// Optional adds what `cosign sign -a` adds to the payload.
func Optional(key string, value any) SignOption {
	return func(s *signing) {
		if s.claim.Optional == nil {
			s.claim.Optional = map[string]any{}
		}
		s.claim.Optional[key] = value
	}
}

// Payload signs these bytes instead.
func Payload(payload []byte) SignOption { return func(s *signing) { s.payload = payload } }

// Signature stores this text instead of the signature in base64; the key is
// not used then and may be nil.
func Signature(text string) SignOption { return func(s *signing) { s.signature = &text } }

// Annotation adds an annotation to the signature's layer.
func Annotation(key, value string) SignOption {
	return func(s *signing) { s.annotations[key] = value }
}

// MediaType gives the layer another media type.
func MediaType(mediaType string) SignOption { return func(s *signing) { s.mediaType = mediaType } }

// Sign adds a signature to an image, in cosign's form under the image's .sig
// tag, after those that are there. The key may be ECDSA, RSA or Ed25519.
func (r *Registry) Sign(tb TB, img Image, key crypto.Signer, options ...SignOption) {
	tb.Helper()
	s := &signing{mediaType: simpleSigning, annotations: map[string]string{}}
	s.claim.Critical.Type = "cosign container image signature"
	s.claim.Critical.Identity.DockerReference = img.Name()
	s.claim.Critical.Image.DockerManifestDigest = img.Digest
	for _, option := range options {
		option(s)
	}
	payload := s.payload
	if payload == nil {
		payload = encode(tb, s.claim)
	}
	if s.signature == nil {
		text := base64.StdEncoding.EncodeToString(sign(tb, key, payload))
		s.signature = &text
	}
	annotations := map[string]string{signatureAnnotation: *s.signature}
	maps.Copy(annotations, s.annotations)
	r.attachLayer(tb, img.Repository, img.SignatureTag(), payload, s.mediaType, annotations)
}

// attachLayer stores a payload and adds it to the layers of the image under a
// tag, as cosign 2 attaches signatures and attestations.
func (r *Registry) attachLayer(tb TB, repository, tag string, payload []byte, mediaType string, annotations map[string]string) {
	tb.Helper()
	added := layer{
		MediaType: mediaType, Size: len(payload), Annotations: annotations,
		Digest: r.PutBlob(tb, repository, payload),
	}
	r.signing.Lock()
	defer r.signing.Unlock()
	key := repository + ":" + tag
	r.attached[key] = append(r.attached[key], added)
	config := []byte("{}")
	manifest := encode(tb, map[string]any{
		"schemaVersion": 2,
		"mediaType":     types.OCIManifestSchema1,
		"config":        layer{MediaType: string(types.OCIConfigJSON), Size: len(config), Digest: r.PutBlob(tb, repository, config)},
		"layers":        r.attached[key],
	})
	r.PutManifest(tb, repository, tag, string(types.OCIManifestSchema1), manifest)
}
