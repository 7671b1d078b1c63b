package cosign

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// signer is somebody whose signatures are trusted: a key, or whoever has a
// certificate of an authority. What proofs a signature must come with is in the
// options.
type signer struct {
	material *trust.Material
	needs    needs
	options  []verify.VerifierOption
	key      *trust.Key   // nil for an authority
	roots    []trust.Root // of an authority: those whose signers it certifies
}

// named is a root's name with who signed for it.
func (s *signer) named(c *candidate) []trust.Signed {
	if s.key != nil {
		return []trust.Signed{{Root: s.roots[0].Name, Signer: "key " + s.key.ID, Key: s.key.ID}}
	}
	var signed []trust.Signed
	for _, r := range s.roots {
		if r.Identity == nil || r.Identity.Matches(*c.summary) == nil {
			signed = append(signed, trust.Signed{
				Root: r.Name, Key: trust.KeyID(c.leaf.Certificate().RawSubjectPublicKeyInfo),
				Signer: fmt.Sprintf("subject %q by issuer %q", c.summary.SubjectAlternativeName, c.summary.Issuer),
			})
		}
	}
	return signed
}

// verify tells for which trust roots the candidate was signed, about the digest.
// A panic in a library makes it a malformed signature and nothing more.
func (s *signer) verify(c *candidate, digest image.Digest) (signed []trust.Signed, failure *validator.Error) {
	defer func() {
		if p := recover(); p != nil {
			signed, failure = nil, validator.Errorf(validator.MalformedSignature, "a signature cannot be read: %s", validator.Quote(fmt.Sprint(p)))
		}
	}()
	// What is cheap and says most comes first: who is said to have signed.
	if err := s.claimed(c); err != nil {
		return nil, err
	}
	material := s.materialFor(c)
	verifier, err := verify.NewVerifier(material, append([]verify.VerifierOption{verify.WithoutStatementPredicate()}, s.options...)...)
	if err != nil {
		return nil, validator.Errorf(validator.Internal, "the verifier cannot be made: %w", err)
	}
	entity := &entity{candidate: c, material: c.leaf}
	policy := verify.WithoutIdentitiesUnsafe() // identities are compared per trust root, in named
	if s.key != nil {
		entity.material, policy = &bundle.PublicKey{}, verify.WithKey()
	}
	if _, err := verifier.Verify(entity, verify.NewPolicy(c.artifactPolicy(digest), policy)); err != nil {
		return nil, s.diagnose(c, material, err)
	}
	// The library compared the digest of a statement, but what was signed in the
	// simple signing format is for us to compare.
	if !c.claim.about(digest) {
		return nil, validator.Errorf(validator.DigestMismatch, "a signature by %s is attached to it, but was made for another image: %s", s.describe(c), validator.Quote(fmt.Sprint(c.claim.digests)))
	}
	return s.named(c), nil
}

// artifactPolicy makes the library compare what was signed. A statement about
// another digest is verified without, to tell a signature that was made for
// another image from one that is worth nothing.
func (c *candidate) artifactPolicy(digest image.Digest) verify.ArtifactPolicyOption {
	if c.artifact != nil {
		return verify.WithArtifact(bytes.NewReader(c.artifact))
	}
	if algorithm, raw, ok := rawDigest(digest); ok && c.claim.about(digest) {
		return verify.WithArtifactDigest(algorithm, raw)
	}
	return verify.WithoutArtifactUnsafe()
}

// claimed refuses a candidate that is not even said to be by the signer.
func (s *signer) claimed(c *candidate) *validator.Error {
	if s.key != nil {
		if c.leaf != nil && !s.key.Is(c.leaf.Certificate().PublicKey) { // saves the cryptography
			return validator.Errorf(validator.UntrustedSigner, "no signature is by the key %.12s", s.key.ID)
		}
		message, err := c.signedBytes()
		if err != nil {
			return validator.Errorf(validator.MalformedSignature, "a signature cannot be read: %w", err)
		}
		if err := (keyVerifier{s.key}).VerifySignature(bytes.NewReader(c.content.Signature()), bytes.NewReader(message)); err != nil {
			return validator.Errorf(validator.UntrustedSigner, "no signature is by the key %.12s", s.key.ID)
		}
		return nil
	}
	if c.summary == nil {
		return validator.Errorf(validator.UntrustedSigner, "a signature has no certificate")
	}
	if len(s.named(c)) == 0 {
		return validator.Errorf(validator.UntrustedSigner, "a signature has the certificate of %s%s", s.describe(c), s.differs(c))
	}
	// Anybody can write a name into a certificate; no proof of a stranger's is
	// looked at.
	if !s.issued(c.leaf) {
		return validator.Errorf(validator.InvalidTrustData, "a signature has a certificate that names %s, but that no trusted authority has issued", s.describe(c))
	}
	return nil
}

// differs says in what the certificate differs from the only identity that is
// trusted.
func (s *signer) differs(c *candidate) string {
	if len(s.roots) != 1 || s.roots[0].Identity == nil {
		return ""
	}
	return ", but trust root " + strconv.Quote(s.roots[0].Name) + " wants another: " + validator.Quote(fmt.Sprint(s.roots[0].Identity.Matches(*c.summary)))
}

// issued tells whether an authority that is trusted has issued the certificate,
// at whatever time that was valid.
func (s *signer) issued(as verify.VerificationContent) bool {
	leaf := *as.Certificate()
	leaf.UnhandledCriticalExtensions = nil // which the verification looks at
	for _, authority := range s.material.FulcioCertificateAuthorities() {
		if fulcio, ok := authority.(*root.FulcioCertificateAuthority); ok && len(as.Intermediates()) > 0 {
			with := *fulcio
			with.Intermediates = slices.Concat(fulcio.Intermediates, as.Intermediates())
			authority = &with
		}
		if _, err := authority.Verify(&leaf, leaf.NotBefore); err == nil {
			return true
		}
	}
	return false
}

// describe names who signed, for messages.
func (s *signer) describe(c *candidate) string {
	if s.key != nil {
		return "a trusted key"
	}
	return validator.Quote(fmt.Sprintf("%q (issuer %q)", c.summary.SubjectAlternativeName, c.summary.Issuer))
}

// materialFor is the trust material for one candidate.
func (s *signer) materialFor(c *candidate) root.TrustedMaterial {
	return &materialFor{Material: s.material, key: s.key, stamped: c.stamped}
}
