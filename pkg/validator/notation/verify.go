package notation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-go"
	"github.com/notaryproject/notation-go/verifier"
	"github.com/notaryproject/notation-go/verifier/trustpolicy"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// verify tells whether a trust root accepts a signature.
func (t *tally) verify(ctx context.Context, c *candidate, root signerRoot) (*accepted, *validator.Error) {
	switch {
	case image.Digest(c.target.Digest) != t.digest:
		return nil, validator.Errorf(validator.DigestMismatch, "a signature by %s is for %s", quoted(c), validator.Quote(string(c.target.Digest)))
	case c.signer.SignedAttributes.SigningScheme != signature.SigningSchemeX509:
		return nil, validator.Errorf(validator.InvalidTrustData, "a signature by %s is made under the signing scheme %q, which is not supported; it must be %q",
			quoted(c), c.signer.SignedAttributes.SigningScheme, signature.SigningSchemeX509)
	}
	if failure := c.checkAttributes(); failure != nil {
		return nil, failure
	}
	identified := root.identifies(c.leaf())
	inquiry := &inquiry{state: t.state, client: t.revocation, patience: t.patience, skip: t.skipRevocation, trusted: identified && c.leadsTo(root.anchors)}
	v, err := verifier.NewWithOptions(policyOf(root, t.level, t.timestamps, anybody), root, nil, verifier.VerifierOptions{
		RevocationCodeSigningValidator:  inquiry.of(signers),
		RevocationTimestampingValidator: inquiry.of(timestampAuthorities),
	})
	if err != nil {
		return nil, validator.Errorf(validator.Internal, "the trust root %q cannot be used: %w", root.Name, err)
	}
	target := ocispec.Descriptor{MediaType: c.target.MediaType, Digest: digest.Digest(t.digest), Size: c.target.Size}
	outcome, err := v.Verify(ctx, target, c.envelope, notation.VerifierVerifyOptions{
		ArtifactReference:  scope + "@" + string(t.digest),
		SignatureMediaType: c.mediaType,
	})
	switch {
	case ctx.Err() != nil:
		return nil, validator.AsError(ctx.Err())
	case !identified && t.level != Audit && failed(outcome) != trustpolicy.TypeIntegrity:
		return nil, validator.Errorf(validator.UntrustedSigner, "a signature is by %s, who is not among the trustedIdentities", quoted(c))
	case err != nil:
		return nil, diagnose(c, root, outcome, inquiry, err)
	case outcome == nil || outcome.EnvelopeContent == nil:
		return nil, validator.Errorf(validator.Internal, "nothing was verified")
	}
	by := &accepted{
		Signed:    trust.Signed{Root: root.Name, Signer: c.who(), Key: trust.KeyID(c.leaf().RawSubjectPublicKeyInfo)},
		trusted:   identified && authentic(outcome),
		tolerated: tolerated(c, outcome),
		expires:   t.expiry(c, root),
	}
	if !identified {
		by.tolerated = append(by.tolerated, unverified(c, trustpolicy.TypeAuthenticity, "it is not among the trustedIdentities"))
	}
	return by, nil
}

// checkAttributes refuses what whoever verifies must understand, and we do not.
// The library leaves that to plugins, which are programs that it would execute.
func (c *candidate) checkAttributes() *validator.Error {
	for _, attribute := range c.signer.SignedAttributes.ExtendedAttributes {
		switch {
		case attribute.Key == verifier.HeaderVerificationPlugin:
			return validator.Errorf(validator.InvalidTrustData, "a signature by %s can only be verified with the plugin %s, and plugins are never executed here",
				quoted(c), validator.Quote(fmt.Sprint(attribute.Value)))
		case attribute.Critical:
			return validator.Errorf(validator.InvalidTrustData, "a signature by %s has the critical attribute %s, which is not known here", quoted(c), validator.Quote(fmt.Sprint(attribute.Key)))
		}
	}
	return nil
}

// quoted names the signer in a message.
func quoted(c *candidate) string { return validator.Quote(c.who()) }

// failed is what made the library refuse a signature.
func failed(outcome *notation.VerificationOutcome) (what trustpolicy.ValidationType) {
	if outcome == nil {
		return ""
	}
	for _, r := range outcome.VerificationResults {
		if r.Error != nil && r.Action == trustpolicy.ActionEnforce {
			what = r.Type
		}
	}
	return what
}

// diagnose says why the library does not accept a signature.
func diagnose(c *candidate, root signerRoot, outcome *notation.VerificationOutcome, asked *inquiry, cause error) *validator.Error {
	switch {
	case asked.revoked != "":
		return validator.Errorf(validator.Revoked, "a signature by %s counts no more: %s", quoted(c), asked.revoked)
	case asked.unknown != "":
		failure := validator.Errorf(validator.TrustDataUnavailable, "it cannot be found out whether the certificates of %s were revoked: %s; "+
			"where nothing can be asked, insecureSkipRevocation: true of the validator leaves that out", quoted(c), asked.unknown)
		var broken *validator.Error
		if errors.As(asked.cause, &broken) && broken.Reason == validator.Internal {
			failure.Reason, failure.Err = broken.Reason, broken.Err
		}
		return failure
	}
	switch failed(outcome) {
	case trustpolicy.TypeAuthenticity:
		return validator.Errorf(validator.UntrustedSigner, "a signature is by %s, for whom nobody vouches who is trusted: %s", quoted(c), validator.Quote(cause.Error()))
	case trustpolicy.TypeExpiry:
		return validator.Errorf(validator.Expired, "a signature by %s was valid until %s", quoted(c), c.signer.SignedAttributes.Expiry.UTC().Format(time.RFC3339))
	case trustpolicy.TypeAuthenticTimestamp:
		return undated(c, root, cause)
	case trustpolicy.TypeIntegrity:
		return validator.Errorf(validator.MalformedSignature, "a signature that claims to be by %s is not: %s", quoted(c), validator.Quote(cause.Error()))
	}
	return validator.Errorf(validator.InvalidTrustData, "a signature by %s does not hold: %s", quoted(c), validator.Quote(cause.Error()))
}

// undated says why it is not known that a certificate was valid when it was used.
func undated(c *candidate, root signerRoot, cause error) *validator.Error {
	now, missing := time.Now(), ""
	switch {
	case len(c.signer.UnsignedAttributes.TimestampSignature) == 0:
		missing = "has no timestamp"
	case !root.stamped():
		missing = "has a timestamp, of which the trust root knows no authority (tsCert)"
	}
	for _, certificate := range c.chain {
		if missing != "" && (now.After(certificate.NotAfter) || now.Before(certificate.NotBefore)) {
			return validator.Errorf(validator.Expired, "a signature by %s %s, and the certificate of %s was valid from %s to %s only", quoted(c), missing,
				validator.Quote(certificate.Subject.String()), certificate.NotBefore.UTC().Format(time.RFC3339), certificate.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	if len(c.signer.UnsignedAttributes.TimestampSignature) == 0 {
		return validator.Errorf(validator.InvalidTrustData, "a signature by %s comes without a timestamp, which the rule demands; sign with one (notation sign --timestamp-url), or have verifyTimestamp: afterCertExpiry set for the rule", quoted(c))
	}
	return validator.Errorf(validator.InvalidTrustData, "the timestamp of a signature by %s does not hold: %s", quoted(c), validator.Quote(cause.Error()))
}

// tolerated says what is wrong with a signature that is accepted all the same.
func tolerated(c *candidate, outcome *notation.VerificationOutcome) (wrong []string) {
	for _, r := range outcome.VerificationResults {
		if r.Error == nil {
			continue
		}
		var untrusted *signature.SignatureAuthenticityError
		what := validator.Quote(r.Error.Error())
		if errors.As(r.Error, &untrusted) {
			what = "nobody who is trusted vouches for that certificate"
		}
		wrong = append(wrong, unverified(c, r.Type, what))
	}
	return wrong
}

// unverified says that something of a signature is not verified, and why.
func unverified(c *candidate, what trustpolicy.ValidationType, why string) string {
	return fmt.Sprintf("of a signature by %s, the %s is not verified: %s", quoted(c), aspects[what], why)
}

// authentic tells whether the signer is trusted, and not just let pass.
func authentic(outcome *notation.VerificationOutcome) bool {
	for _, r := range outcome.VerificationResults {
		if r.Type == trustpolicy.TypeAuthenticity {
			return r.Error == nil
		}
	}
	return false
}

// aspects names what is verified.
var aspects = map[trustpolicy.ValidationType]string{
	trustpolicy.TypeIntegrity:          "integrity",
	trustpolicy.TypeAuthenticity:       "signer",
	trustpolicy.TypeAuthenticTimestamp: "time",
	trustpolicy.TypeExpiry:             "expiry",
	trustpolicy.TypeRevocation:         "revocation",
}

// expiry is until when a signature is accepted that is now: until it expires
// itself, or a certificate does, if no timestamp tells when that was used.
func (t *tally) expiry(c *candidate, root signerRoot) time.Time {
	ends := c.signer.SignedAttributes.Expiry
	if !root.stamped() || t.timestamps == trustpolicy.OptionAfterCertExpiry {
		for _, certificate := range c.chain {
			ends = earliest(ends, certificate.NotAfter)
		}
	}
	if ends.Before(time.Now()) {
		return time.Time{} // it has been tolerated
	}
	return ends
}
