package cosign

import (
	"bytes"
	"crypto"
	"errors"
	"io"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// materialFor is trust material with the one key that may have signed.
type materialFor struct {
	*trust.Material
	key     *trust.Key
	stamped []byte
}

// PublicKeyVerifier implements root.TrustedMaterial. The hint is the signature's
// own, and so is not looked at.
func (m *materialFor) PublicKeyVerifier(string) (root.TimeConstrainedVerifier, error) {
	if m.key == nil {
		return nil, errors.New("no key is trusted")
	}
	return keyVerifier{m.key}, nil
}

// TimestampingAuthorities implements root.TrustedMaterial.
func (m *materialFor) TimestampingAuthorities() []root.TimestampingAuthority {
	authorities := m.Material.TimestampingAuthorities()
	if m.stamped == nil {
		return authorities
	}
	over := make([]root.TimestampingAuthority, len(authorities))
	for i, a := range authorities {
		over[i] = stampedContent{a, m.stamped}
	}
	return over
}

// stampedContent is a timestamp authority that has stamped the content and not
// the signature, as it is with envelopes that are in no bundle.
type stampedContent struct {
	root.TimestampingAuthority
	content []byte
}

// Verify implements root.TimestampingAuthority.
func (s stampedContent) Verify(stamp, _ []byte) (*root.Timestamp, error) {
	return s.TimestampingAuthority.Verify(stamp, s.content)
}

// keyVerifier verifies with a key, whichever hash the signing client used.
type keyVerifier struct{ key *trust.Key }

// ValidAtTime implements root.TimeConstrainedVerifier: keys have no lifetime.
func (keyVerifier) ValidAtTime(time.Time) bool { return true }

// PublicKey implements signature.Verifier.
func (v keyVerifier) PublicKey(...signature.PublicKeyOption) (crypto.PublicKey, error) {
	return v.key.Public, nil
}

// VerifySignature implements signature.Verifier.
func (v keyVerifier) VerifySignature(sig, message io.Reader, options ...signature.VerifyOption) error {
	rawSignature, err := io.ReadAll(sig)
	if err != nil {
		return err
	}
	rawMessage, err := io.ReadAll(message)
	if err != nil {
		return err
	}
	err = errors.New("a key without verifiers")
	for _, verifier := range v.key.Verifiers {
		if err = verifier.VerifySignature(bytes.NewReader(rawSignature), bytes.NewReader(rawMessage), options...); err == nil {
			return nil
		}
	}
	return err
}

// entity is a candidate as the library takes it.
type entity struct {
	verify.BaseSignedEntity
	*candidate
	material verify.VerificationContent
}

// SignatureContent implements verify.SignedEntity.
func (e *entity) SignatureContent() (verify.SignatureContent, error) { return e.content, nil }

// VerificationContent implements verify.SignedEntity.
func (e *entity) VerificationContent() (verify.VerificationContent, error) { return e.material, nil }

// Timestamps implements verify.SignedEntity.
func (e *entity) Timestamps() ([][]byte, error) { return e.timestamps, nil }

// TlogEntries implements verify.SignedEntity.
func (e *entity) TlogEntries() ([]*tlog.Entry, error) { return e.entries, nil }

// Version implements verify.SignedEntity. What is in no bundle is as old as the
// oldest, and may be signed in older ways.
func (e *entity) Version() (string, error) {
	if e.version == "" {
		return "v0.1", nil
	}
	return e.version, nil
}
