package registrytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	simpleSigning       = "application/vnd.dev.cosign.simplesigning.v1+json"
	signatureAnnotation = "dev.cosignproject.cosign/signature"
)

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

// Signature stores this text instead of the signature in base64.
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
		var err error
		if payload, err = json.Marshal(s.claim); err != nil {
			tb.Fatalf("make a payload: %v", err)
		}
	}
	text := base64.StdEncoding.EncodeToString(sign(tb, key, payload))
	if s.signature != nil {
		text = *s.signature
	}
	annotations := map[string]string{signatureAnnotation: text}
	maps.Copy(annotations, s.annotations)
	r.attach(tb, img, payload, s.mediaType, annotations)
}

// attach stores a payload and adds it to the image's signatures.
func (r *Registry) attach(tb TB, img Image, payload []byte, mediaType string, annotations map[string]string) {
	tb.Helper()
	added := layer{
		MediaType: mediaType, Size: len(payload), Annotations: annotations,
		Digest: r.PutBlob(tb, img.Repository, payload),
	}
	r.signing.Lock()
	defer r.signing.Unlock()
	key := img.Repository + "@" + img.Digest
	r.attached[key] = append(r.attached[key], added)
	config := []byte("{}")
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"mediaType":     types.OCIManifestSchema1,
		"config":        layer{MediaType: string(types.OCIConfigJSON), Size: len(config), Digest: r.PutBlob(tb, img.Repository, config)},
		"layers":        r.attached[key],
	})
	if err != nil {
		tb.Fatalf("make a manifest: %v", err)
	}
	r.PutManifest(tb, img.Repository, img.SignatureTag(), string(types.OCIManifestSchema1), manifest)
}

// sign signs as cosign does: Ed25519 the payload itself, others its SHA-256.
func sign(tb TB, key crypto.Signer, payload []byte) []byte {
	tb.Helper()
	message, hash := payload, crypto.Hash(0)
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		sum := sha256.Sum256(payload)
		message, hash = sum[:], crypto.SHA256
	}
	signature, err := key.Sign(rand.Reader, message, hash)
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	return signature
}

// Key makes an ECDSA P-256 key, as cosign's own are.
func Key(tb TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	return key
}

// PublicPEM is the key's public half in PEM form.
func PublicPEM(tb TB, key crypto.Signer) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatalf("encode a key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
