package notationtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"time"
)

// Authority issues certificates.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
	parent      *Authority // nil for a root
}

// Signer signs with the key of a certificate.
type Signer struct {
	// Chain begins with the signer's own certificate, and ends with a root.
	Chain []*x509.Certificate
	Key   crypto.Signer
}

// CertificateOption makes a certificate other than the default.
type CertificateOption func(*x509.Certificate)

// Valid says when the certificate is valid; the default is from a day ago for ten
// years.
func Valid(from, until time.Time) CertificateOption {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = from, until }
}

// OCSP has the certificate name an OCSP responder.
func OCSP(url string) CertificateOption {
	return func(c *x509.Certificate) { c.OCSPServer = []string{url} }
}

// CRL has the certificate name a CRL distribution point.
func CRL(url string) CertificateOption {
	return func(c *x509.Certificate) { c.CRLDistributionPoints = []string{url} }
}

// Usage replaces the extended key usage, which is code signing.
func Usage(usages ...x509.ExtKeyUsage) CertificateOption {
	return func(c *x509.Certificate) { c.ExtKeyUsage = usages }
}

// forTimestamps makes a certificate one of a timestamp authority. RFC 3161, section
// 2.3: its only extended key usage is critical, which crypto/x509 does not make by
// itself.
func forTimestamps(c *x509.Certificate) {
	usage, _ := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}) // cannot fail
	c.ExtKeyUsage = nil
	c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
}

// New makes a root.
func New(tb TB, name string, options ...CertificateOption) *Authority {
	tb.Helper()
	key := NewKey(tb)
	return &Authority{Certificate: issue(tb, authority(name), nil, key, options), key: key}
}

// NewSHA1 makes a root that has signed itself with SHA-1, as many old ones have.
func NewSHA1(tb TB, name string) *Authority {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	weak := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA }
	return &Authority{Certificate: issue(tb, authority(name), nil, key, []CertificateOption{weak}), key: key}
}

// Intermediate makes an authority below another.
func (a *Authority) Intermediate(tb TB, name string, options ...CertificateOption) *Authority {
	tb.Helper()
	key := NewKey(tb)
	return &Authority{Certificate: issue(tb, authority(name), a, key, options), key: key, parent: a}
}

// Signer issues a certificate to somebody.
func (a *Authority) Signer(tb TB, name string, options ...CertificateOption) *Signer {
	tb.Helper()
	return a.SignerWith(tb, NewKey(tb), name, options...)
}

// SignerWith issues a certificate for a key.
func (a *Authority) SignerWith(tb TB, key crypto.Signer, name string, options ...CertificateOption) *Signer {
	tb.Helper()
	s := &Signer{Key: key, Chain: []*x509.Certificate{issue(tb, leaf(name), a, key, options)}}
	for up := a; up != nil; up = up.parent {
		s.Chain = append(s.Chain, up.Certificate)
	}
	return s
}

// SelfSigned makes a signer whose certificate nobody else vouches for.
func SelfSigned(tb TB, name string, options ...CertificateOption) *Signer {
	tb.Helper()
	key := NewKey(tb)
	return &Signer{Key: key, Chain: []*x509.Certificate{issue(tb, leaf(name), nil, key, options)}}
}

// PEM is the authority's certificate.
func (a *Authority) PEM() string { return encode(a.Certificate) }

// PEM is the signer's own certificate.
func (s *Signer) PEM() string { return encode(s.Chain[0]) }

// Self is the authority as if it were a signer: with its own certificate and key.
func (a *Authority) Self() *Signer {
	s := &Signer{Key: a.key}
	for up := a; up != nil; up = up.parent {
		s.Chain = append(s.Chain, up.Certificate)
	}
	return s
}

// ChainPEM is the whole chain, as notation takes it.
func (s *Signer) ChainPEM() (text string) {
	for _, c := range s.Chain {
		text += encode(c)
	}
	return text
}

// NewKey makes a key that the Notary Project allows.
func NewKey(tb TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	return key
}

func subject(name string) pkix.Name {
	return pkix.Name{Country: []string{"DE"}, Province: []string{"Berlin"}, Organization: []string{"Example"}, CommonName: name}
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: subject(name), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true,
	}
}

func leaf(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: subject(name), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
}

// issue makes a certificate; without an authority, a self-signed one.
func issue(tb TB, template *x509.Certificate, by *Authority, key crypto.Signer, options []CertificateOption) *x509.Certificate {
	tb.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		tb.Fatalf("make a certificate: %v", err)
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().AddDate(0, 0, -1), time.Now().AddDate(10, 0, 0)
	for _, option := range options {
		option(template)
	}
	if by == nil {
		by = &Authority{Certificate: template, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Certificate, key.Public(), by.key)
	if err != nil {
		tb.Fatalf("make a certificate: %v", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("make a certificate: %v", err)
	}
	return certificate
}

func encode(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}
