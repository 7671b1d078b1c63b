package cosign

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature/payload"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
)

// signaturePredicate is the predicate type of statements that say no more than
// that an image was signed, as cosign 3 makes them.
const signaturePredicate = "https://sigstore.dev/cosign/sign/v1"

const inTotoPayload = "application/vnd.in-toto+json"

// maxProofs bounds the log entries, and the timestamps, of a signature.
const maxProofs = 8

// candidate is something that may be a signature or an attestation: whatever its
// form, it was signed by a key or by the key of a certificate, and may come with
// log entries and timestamps. Nothing about it is verified.
type candidate struct {
	content verify.SignatureContent
	// artifact is what was signed in the simple signing format; nil for an
	// envelope.
	artifact []byte
	claim    claim
	// leaf is the signer's certificate, and summary what it says; nil where
	// the signer is told by a key alone.
	leaf    verify.VerificationContent
	summary *certificate.Summary

	entries    []*tlog.Entry
	timestamps [][]byte
	// unreadable is why one of those cannot be read that came along, which
	// concerns whoever needs it.
	unreadable error
	// stamped is what timestamps are over where that is not the signature.
	stamped []byte
	version string
}

// parse reads a candidate in whatever form it was found.
func parse(found registry.Candidate) (*candidate, error) {
	switch found.Kind {
	case registry.SimpleSigning:
		return parseSimpleSigning(found)
	case registry.Envelope:
		return parseEnvelope(found)
	case registry.Bundle:
		return parseBundle(found.Payload)
	}
	return nil, fmt.Errorf("it is of an unknown kind %d", found.Kind)
}

// parseSimpleSigning reads a signature over a payload in the simple signing
// format.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
func parseSimpleSigning(found registry.Candidate) (*candidate, error) {
	signature, err := base64.StdEncoding.DecodeString(found.Base64Signature)
	if err != nil {
		return nil, fmt.Errorf("it is not base64: %w", err)
	}
	var signed struct {
		Critical struct {
			Type  string `json:"type"`
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
		Optional json.RawMessage `json:"optional"`
	}
	if err := json.Unmarshal(found.Payload, &signed); err != nil {
		return nil, fmt.Errorf("its payload is not in the simple signing format: %w", err)
	}
	// What the same key says about an image in another context is no
	// signature, although the formats are alike (Binary Authorization's).
	if signed.Critical.Type != payload.CosignSignatureType {
		return nil, fmt.Errorf("its payload is of type %.40q, not %q", signed.Critical.Type, payload.CosignSignatureType)
	}
	c := &candidate{
		artifact: found.Payload,
		claim: claim{
			digests:       []image.Digest{image.Digest(signed.Critical.Image.Digest)},
			predicateType: signaturePredicate,
			annotations:   signed.Optional,
		},
	}
	if err := c.addAnnotations(found.Annotations); err != nil {
		return nil, err
	}
	digest, algorithm := c.artifactDigest()
	c.content = bundle.NewMessageSignature(digest, algorithm, signature)
	return c, nil
}

// artifactDigest is the digest of the artifact by the algorithm that the log
// entry uses.
func (c *candidate) artifactDigest() (digest []byte, algorithm string) {
	for _, entry := range c.entries {
		if _, algorithm, ok := entry.GetHashedRekordDigest(); ok {
			if digest := hashWith(algorithm, c.artifact); digest != nil {
				return digest, algorithm
			}
		}
	}
	sum := sha256.Sum256(c.artifact)
	return sum[:], "sha256"
}

// parseEnvelope reads a DSSE envelope that cosign attached without a bundle.
// https://github.com/sigstore/cosign/blob/main/specs/ATTESTATION_SPEC.md
func parseEnvelope(found registry.Candidate) (*candidate, error) {
	envelope := &bundle.Envelope{Envelope: &dsse.Envelope{}}
	if err := json.Unmarshal(found.Payload, envelope.Envelope); err != nil {
		return nil, fmt.Errorf("it is no DSSE envelope: %w", err)
	}
	c := &candidate{content: envelope, stamped: found.Payload}
	if err := c.readStatement(envelope.Envelope); err != nil {
		return nil, err
	}
	return c, c.addAnnotations(found.Annotations)
}

// parseBundle reads a Sigstore bundle.
// https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
func parseBundle(text []byte) (*candidate, error) {
	parsed := &protobundle.Bundle{}
	if err := protojson.Unmarshal(text, parsed); err != nil {
		return nil, fmt.Errorf("it is no valid bundle: %w", err)
	}
	material := parsed.GetVerificationMaterial()
	if err := checkProofs(material.GetTlogEntries(), timestampsOf(material)); err != nil {
		return nil, err
	}
	b, err := bundle.NewBundle(parsed)
	if err != nil {
		return nil, fmt.Errorf("it is no valid bundle: %w", err)
	}
	content, err := b.SignatureContent()
	if err != nil {
		return nil, err
	}
	envelope, ok := content.(*bundle.Envelope)
	if !ok {
		return nil, errors.New("its bundle holds no statement about an image, but a signature over something else")
	}
	c := &candidate{content: content, timestamps: timestampsOf(material)}
	if err := c.readStatement(envelope.Envelope); err != nil {
		return nil, err
	}
	if c.entries, err = b.TlogEntries(); err != nil {
		return nil, err
	}
	if c.version, err = b.Version(); err != nil {
		return nil, err
	}
	signer, err := b.VerificationContent()
	if err != nil {
		return nil, err
	}
	if leaf := signer.Certificate(); leaf != nil {
		return c, c.setCertificate(leaf, signer)
	}
	return c, nil
}

// timestampsOf are the timestamps of a bundle.
func timestampsOf(material *protobundle.VerificationMaterial) [][]byte {
	var all [][]byte
	for _, stamp := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
		all = append(all, stamp.GetSignedTimestamp())
	}
	return all
}

// checkProofs makes sure that what comes with a signature can be looked at.
func checkProofs(entries []*protorekor.TransparencyLogEntry, timestamps [][]byte) error {
	if len(entries) > maxProofs || len(timestamps) > maxProofs {
		return fmt.Errorf("it comes with more than the %d log entries or timestamps that are allowed", maxProofs)
	}
	for _, entry := range entries {
		if err := checkEntry(entry); err != nil {
			return err
		}
	}
	for _, stamp := range timestamps {
		if err := checkTimestamp(stamp); err != nil {
			return err
		}
	}
	return nil
}

// setCertificate takes over the signer's certificate.
func (c *candidate) setCertificate(leaf *x509.Certificate, as verify.VerificationContent) error {
	if err := checkCertificates(append(as.Intermediates(), leaf)); err != nil {
		return err
	}
	summary, err := certificate.SummarizeCertificate(leaf)
	if err != nil {
		return fmt.Errorf("its certificate says not who it is for: %w", err)
	}
	c.leaf, c.summary = as, &summary
	return nil
}

// signedBytes is what the signature is over.
func (c *candidate) signedBytes() ([]byte, error) {
	if c.artifact != nil {
		return c.artifact, nil
	}
	envelope := c.content.EnvelopeContent().RawEnvelope()
	text, err := envelope.DecodeB64Payload()
	if err != nil {
		return nil, err
	}
	return dsse.PAE(envelope.PayloadType, text), nil
}
