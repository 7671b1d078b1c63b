package sigstoretest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// Signer signs, by a key alone or by one with a certificate.
type Signer struct {
	key         crypto.Signer
	certificate *x509.Certificate
	chain       []*x509.Certificate
}

// Key is a signer without a certificate. The key may be ECDSA P-256, RSA or
// Ed25519; Rekor takes no Ed25519 for legacy signatures.
func Key(key crypto.Signer) *Signer { return &Signer{key: key} }

// Certificate is the signer's certificate, nil if it has none.
func (s *Signer) Certificate() *x509.Certificate { return s.certificate }

// Public is the public key.
func (s *Signer) Public() crypto.PublicKey { return s.key.Public() }

// PEM is the certificate, or the public key if there is none.
func (s *Signer) PEM(tb TB) []byte {
	tb.Helper()
	if s.certificate == nil {
		return registrytest.PublicPEM(tb, s.key)
	}
	return certificatesPEM(tb, s.certificate)
}

// sign signs as cosign does: Ed25519 the message itself, others its SHA-256.
func (s *Signer) sign(tb TB, message []byte) []byte {
	tb.Helper()
	hash := crypto.Hash(0)
	if _, ok := s.key.Public().(ed25519.PublicKey); !ok {
		sum := sha256.Sum256(message)
		message, hash = sum[:], crypto.SHA256
	}
	signature, err := s.key.Sign(rand.Reader, message, hash)
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	return signature
}

func certificatesPEM(tb TB, certificates ...*x509.Certificate) []byte {
	tb.Helper()
	text, err := cryptoutils.MarshalCertificatesToPEM(certificates)
	if err != nil {
		tb.Fatalf("encode certificates: %v", err)
	}
	return text
}
