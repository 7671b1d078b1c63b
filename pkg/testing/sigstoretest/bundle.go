package sigstoretest

import (
	"encoding/base64"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

const (
	// BundleMediaType is of Sigstore bundles, of their layers and manifests.
	BundleMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// SignaturePredicate is the predicate type of cosign 3's signatures.
	SignaturePredicate = "https://sigstore.dev/cosign/sign/v1"
)

// Sign attaches a signature, as cosign 3 does, and returns the digest of the
// manifest that refers to the image.
func (s *Sigstore) Sign(tb TB, reg *registrytest.Registry, img registrytest.Image, by *Signer, options ...Option) (digest string) {
	tb.Helper()
	o := s.signing(img, SignaturePredicate, options)
	return attach(tb, reg, img, o, SignaturePredicate, s.bundle(tb, o, by, o.signatureStatement(tb)))
}

// Attest attaches an attestation, as cosign 3 does, and returns the digest of
// the manifest that refers to the image.
func (s *Sigstore) Attest(
	tb TB, reg *registrytest.Registry, img registrytest.Image, by *Signer, predicateType string, predicate any, options ...Option,
) (digest string) {
	tb.Helper()
	o := s.signing(img, predicateType, options)
	return attach(tb, reg, img, o, predicateType, s.bundle(tb, o, by, o.attestation(tb, predicate)))
}

// SignatureBundle is the bundle that Sign attaches.
func (s *Sigstore) SignatureBundle(tb TB, img registrytest.Image, by *Signer, options ...Option) []byte {
	tb.Helper()
	o := s.signing(img, SignaturePredicate, options)
	return s.bundle(tb, o, by, o.signatureStatement(tb))
}

// AttestationBundle is the bundle that Attest attaches.
func (s *Sigstore) AttestationBundle(
	tb TB, img registrytest.Image, by *Signer, predicateType string, predicate any, options ...Option,
) []byte {
	tb.Helper()
	o := s.signing(img, predicateType, options)
	return s.bundle(tb, o, by, o.attestation(tb, predicate))
}

// signatureStatement is cosign 3's: the subject has no name, and the predicate
// is empty.
func (o *signing) signatureStatement(tb TB) content {
	tb.Helper()
	return o.content(tb, true, statement{
		Type: statementV1, PredicateType: o.predicateType, Subject: []subject{o.subject("")}, Predicate: map[string]any{},
	})
}

func attach(tb TB, reg *registrytest.Registry, img registrytest.Image, o *signing, predicateType string, bundle []byte) string {
	tb.Helper()
	return reg.Attach(tb, img, registrytest.Artifact{
		ArtifactType: BundleMediaType, MediaType: BundleMediaType, Content: bundle,
		Annotations: map[string]string{
			"org.opencontainers.image.created":  time.Now().UTC().Format(time.RFC3339),
			"dev.sigstore.bundle.content":       "dsse-envelope",
			"dev.sigstore.bundle.predicateType": predicateType,
		},
	}, o.attach...)
}

// bundle signs a statement.
// https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
func (s *Sigstore) bundle(tb TB, o *signing, by *Signer, c content) []byte {
	tb.Helper()
	if o.bytes != nil {
		return o.bytes
	}
	result := s.sign(tb, o, by, c, func(_ TB, signature []byte) []byte { return signature })
	b := &protobundle.Bundle{
		MediaType:            BundleMediaType,
		VerificationMaterial: result.material(tb, by),
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: c.payload, PayloadType: inTotoMediaType,
			Signatures: []*protodsse.Signature{{Sig: result.signature}},
		}},
	}
	for _, change := range o.edit {
		change(b)
	}
	text, err := protojson.Marshal(b)
	if err != nil {
		tb.Fatalf("make a bundle: %v", err)
	}
	return text
}

func (r signed) material(tb TB, by *Signer) *protobundle.VerificationMaterial {
	tb.Helper()
	material := &protobundle.VerificationMaterial{TlogEntries: r.entries}
	if by.certificate != nil {
		material.Content = &protobundle.VerificationMaterial_Certificate{
			Certificate: &protocommon.X509Certificate{RawBytes: by.certificate.Raw},
		}
	} else {
		material.Content = &protobundle.VerificationMaterial_PublicKey{
			PublicKey: &protocommon.PublicKeyIdentifier{Hint: base64.StdEncoding.EncodeToString(keyID(tb, by.key.Public()))},
		}
	}
	for _, stamp := range r.timestamps {
		if material.TimestampVerificationData == nil {
			material.TimestampVerificationData = &protobundle.TimestampVerificationData{}
		}
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps,
			&protocommon.RFC3161SignedTimestamp{SignedTimestamp: stamp})
	}
	return material
}
