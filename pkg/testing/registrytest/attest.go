package registrytest

import (
	"crypto"
	"encoding/base64"
	"maps"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

const (
	dsseMediaType   = "application/vnd.dsse.envelope.v1+json"
	inTotoMediaType = "application/vnd.in-toto+json"
)

// Attest adds an attestation to an image, in cosign 2's form under the image's
// .att tag, after those that are there. ClaimDigest and ClaimName change the
// statement's subject, ClaimType its type, and Payload stores these bytes
// instead of the envelope; the key is not used then and may be nil.
func (r *Registry) Attest(tb TB, img Image, key crypto.Signer, predicateType string, predicate any, options ...SignOption) {
	tb.Helper()
	s := &signing{mediaType: dsseMediaType, annotations: map[string]string{}}
	s.claim.Critical.Type = "https://in-toto.io/Statement/v0.1"
	s.claim.Critical.Identity.DockerReference = img.Name()
	s.claim.Critical.Image.DockerManifestDigest = img.Digest
	for _, option := range options {
		option(s)
	}
	envelope := s.payload
	if envelope == nil {
		envelope = envelopeOf(tb, key, encode(tb, s.statement(predicateType, predicate)), s.signature)
	}
	annotations := map[string]string{signatureAnnotation: "", "predicateType": predicateType}
	maps.Copy(annotations, s.annotations)
	r.attachLayer(tb, img.Repository, img.AttestationTag(), envelope, s.mediaType, annotations)
}

// statement is the in-toto statement of a claim.
// https://github.com/in-toto/attestation/tree/main/spec/v0.1.0
func (s *signing) statement(predicateType string, predicate any) map[string]any {
	algorithm, digest, _ := strings.Cut(s.claim.Critical.Image.DockerManifestDigest, ":")
	return map[string]any{
		"_type":         s.claim.Critical.Type,
		"predicateType": predicateType,
		"subject": []map[string]any{{
			"name":   s.claim.Critical.Identity.DockerReference,
			"digest": map[string]string{algorithm: digest},
		}},
		"predicate": predicate,
	}
}

// envelopeOf wraps a statement. https://github.com/secure-systems-lab/dsse
func envelopeOf(tb TB, key crypto.Signer, statement []byte, signature *string) []byte {
	tb.Helper()
	if signature == nil {
		text := base64.StdEncoding.EncodeToString(sign(tb, key, dsse.PAE(inTotoMediaType, statement)))
		signature = &text
	}
	return encode(tb, dsse.Envelope{
		PayloadType: inTotoMediaType,
		Payload:     base64.StdEncoding.EncodeToString(statement),
		Signatures:  []dsse.Signature{{Sig: *signature}},
	})
}
