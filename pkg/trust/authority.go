package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore-go/pkg/root"
)

// maxCertificates bounds the certificates of one trust root.
const maxCertificates = 64

// Authority issues certificates to signers.
type Authority struct {
	// ID identifies the content.
	ID string
	// CAs are the authorities that a certificate may come from.
	CAs []root.CertificateAuthority
}

// newAuthority makes an authority of its own certificates, each of which is
// trusted by itself, and of intermediate ones, which are not.
func newAuthority(anchors, intermediates []*x509.Certificate) *Authority {
	a := &Authority{}
	sum := sha256.New()
	for _, c := range intermediates {
		_, _ = sum.Write(c.Raw)
	}
	_, _ = sum.Write([]byte{0}) // which no certificate begins with
	for _, anchor := range anchors {
		_, _ = sum.Write(anchor.Raw)
		a.CAs = append(a.CAs, &root.FulcioCertificateAuthority{Root: anchor, Intermediates: intermediates})
	}
	a.ID = hex.EncodeToString(sum.Sum(nil))
	return a
}

// ParseAnchors reads certificates that are to be trusted: those of certification
// authorities, or one that a signer has issued to itself.
func ParseAnchors(text []byte) ([]*x509.Certificate, error) {
	certificates, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	for _, c := range certificates {
		if !isAuthority(c) && !selfSigned(c) {
			return nil, fmt.Errorf("holds the certificate of a signer, %q, which can be no trust root; give that of the authority that issued it", c.Subject)
		}
	}
	return certificates, nil
}

// ParseTimestampRoots reads the certificates that timestamp authorities lead to:
// root certificates, as the Notary Project demands.
func ParseTimestampRoots(text []byte) ([]*x509.Certificate, error) {
	certificates, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	for _, c := range certificates {
		if !isAuthority(c) || !selfSigned(c) {
			return nil, fmt.Errorf("holds %q, which is not the root certificate of a timestamp authority", c.Subject)
		}
	}
	return certificates, nil
}

// parseIntermediates reads certificates that lead to a trusted one.
func parseIntermediates(text []byte) ([]*x509.Certificate, error) {
	certificates, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	for _, c := range certificates {
		if !isAuthority(c) || selfSigned(c) {
			return nil, fmt.Errorf("holds %q, which is no intermediate certificate; what is trusted by itself belongs into cert", c.Subject)
		}
	}
	return certificates, nil
}

// parseCertificates reads PEM certificates, and nothing beside them.
func parseCertificates(text []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	err := eachBlock(text, func(block *pem.Block) error {
		if block.Type != "CERTIFICATE" {
			return errOutside
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("holds a broken certificate: %w", err)
		}
		if certificates = append(certificates, c); len(certificates) > maxCertificates {
			return fmt.Errorf("has more than %d certificates", maxCertificates)
		}
		return nil
	})
	switch {
	case errors.Is(err, errOutside):
		return nil, errors.New("must hold PEM certificates and nothing else")
	case errors.Is(err, errBroken):
		return nil, fmt.Errorf("holds a broken certificate: %w", err)
	case err != nil:
		return nil, err
	case len(certificates) == 0:
		return nil, errors.New("is empty; it must hold PEM certificates")
	}
	return certificates, nil
}

func isAuthority(c *x509.Certificate) bool { return c.BasicConstraintsValid && c.IsCA }

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}
