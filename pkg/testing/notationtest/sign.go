package notationtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

const (
	// ArtifactType is that of manifests that hold signatures.
	ArtifactType = "application/vnd.cncf.notary.signature"
	payloadType  = "application/vnd.cncf.notary.payload.v1+json"
	thumbprints  = "io.cncf.notary.x509chain.thumbprint#S256"
)

// signing is one signature to be.
type signing struct {
	form    string
	target  target
	stamped *TimestampAuthority
	request *signature.SignRequest
	attach  []registrytest.AttachOption
	change  []func([]byte) []byte
}

// target is what is signed.
type target struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// Option makes a signature other than the default.
type Option func(*signing)

// COSE makes it a COSE envelope; the default is JWS.
func COSE() Option { return func(s *signing) { s.form = cose.MediaTypeEnvelope } }

// Expires has the signature expire.
func Expires(at time.Time) Option { return func(s *signing) { s.request.Expiry = at } }

// At has it made at another time, as the signer says.
func At(t time.Time) Option { return func(s *signing) { s.request.SigningTime = t } }

// Stamped adds a timestamp.
func Stamped(by *TimestampAuthority) Option { return func(s *signing) { s.stamped = by } }

// ForDigest signs another digest.
func ForDigest(digest string) Option { return func(s *signing) { s.target.Digest = digest } }

// ForMediaType signs something of another type.
func ForMediaType(t string) Option { return func(s *signing) { s.target.MediaType = t } }

// ForSize signs something of another size.
func ForSize(n int) Option { return func(s *signing) { s.target.Size = n } }

// Scheme makes it under another signing scheme.
func Scheme(name string) Option {
	return func(s *signing) { s.request.SigningScheme = signature.SigningScheme(name) }
}

// Attribute adds a signed attribute.
func Attribute(key string, value any, critical bool) Option {
	return func(s *signing) {
		s.request.ExtendedSignedAttributes = append(s.request.ExtendedSignedAttributes, signature.Attribute{Key: key, Value: value, Critical: critical})
	}
}

// Changed changes the envelope afterwards.
func Changed(fn func([]byte) []byte) Option {
	return func(s *signing) { s.change = append(s.change, fn) }
}

// Attached attaches it otherwise than it should be.
func Attached(options ...registrytest.AttachOption) Option {
	return func(s *signing) { s.attach = append(s.attach, options...) }
}

// Sign signs an image and attaches the signature; it returns the digest of the
// signature's manifest.
func (s *Signer) Sign(tb TB, reg *registrytest.Registry, img registrytest.Image, options ...Option) (digest string) {
	tb.Helper()
	made := newSigning(img, options)
	envelope := made.envelope(tb, s)
	sums := make([]string, len(s.Chain))
	for i, c := range s.Chain {
		sum := sha256.Sum256(c.Raw)
		sums[i] = hex.EncodeToString(sum[:])
	}
	chain, _ := json.Marshal(sums) // cannot fail
	return reg.Attach(tb, img, registrytest.Artifact{
		ArtifactType: ArtifactType, MediaType: made.form, Content: envelope, Annotations: map[string]string{thumbprints: string(chain)},
	}, made.attach...)
}

// Envelope is the signature alone.
func (s *Signer) Envelope(tb TB, img registrytest.Image, options ...Option) []byte {
	tb.Helper()
	return newSigning(img, options).envelope(tb, s)
}

func newSigning(img registrytest.Image, options []Option) *signing {
	made := &signing{
		form:    jws.MediaTypeEnvelope,
		target:  target{MediaType: string(types.OCIManifestSchema1), Digest: img.Digest, Size: 500},
		request: &signature.SignRequest{SigningTime: time.Now(), SigningScheme: signature.SigningSchemeX509, SigningAgent: "notationtest"},
	}
	for _, option := range options {
		option(made)
	}
	return made
}

func (s *signing) envelope(tb TB, by *Signer) []byte {
	tb.Helper()
	payload, err := json.Marshal(map[string]any{"targetArtifact": s.target})
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	s.request.Payload = signature.Payload{ContentType: payloadType, Content: payload}
	if s.request.Signer, err = signature.NewLocalSigner(by.Chain, by.Key); err != nil {
		tb.Fatalf("sign: %v", err)
	}
	if s.stamped != nil {
		s.request.Timestamper, s.request.TSARootCAs = s.stamped, s.stamped.pool()
	}
	e, err := signature.NewEnvelope(s.form)
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	envelope, err := e.Sign(s.request)
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	for _, change := range s.change {
		envelope = change(envelope)
	}
	return envelope
}
