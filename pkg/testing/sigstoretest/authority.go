package sigstoretest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// issued is a certificate with its key.
type issued struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// authority is a root and the intermediate that issues.
type authority struct {
	root, intermediate *issued
}

func newAuthority(tb TB, name string, start, end time.Time) *authority {
	tb.Helper()
	ca := func(title string) *x509.Certificate {
		return &x509.Certificate{
			Subject:   pkix.Name{CommonName: name + " " + title, Organization: []string{"sigstore.test"}},
			NotBefore: start, NotAfter: end,
			KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			BasicConstraintsValid: true, IsCA: true,
		}
	}
	a := &authority{root: &issued{key: newKey(tb)}, intermediate: &issued{key: newKey(tb)}}
	a.root.certificate = issue(tb, ca("root"), nil, a.root.key.Public(), a.root.key)
	a.intermediate.certificate = issue(tb, ca("intermediate"), a.root.certificate, a.intermediate.key.Public(), a.root.key)
	return a
}

// chain is what verifies a leaf, the root last.
func (a *authority) chain() []*x509.Certificate {
	return []*x509.Certificate{a.intermediate.certificate, a.root.certificate}
}

// stamper issues a certificate for timestamps. RFC 3161, section 2.3: its only
// extended key usage is critical, which crypto/x509 does not make by itself.
func (a *authority) stamper(tb TB) *issued {
	tb.Helper()
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		tb.Fatalf("make a certificate: %v", err)
	}
	key := newKey(tb)
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "timestamp", Organization: []string{"sigstore.test"}},
		NotBefore: a.root.certificate.NotBefore, NotAfter: a.root.certificate.NotAfter,
		KeyUsage:        x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}},
	}
	return &issued{key: key, certificate: issue(tb, template, a.intermediate.certificate, key.Public(), a.intermediate.key)}
}

// issue makes a certificate; without a parent, a self-signed one.
func issue(tb TB, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
	tb.Helper()
	if template.SerialNumber == nil {
		serial, err := cryptoutils.GenerateSerialNumber()
		if err != nil {
			tb.Fatalf("make a certificate: %v", err)
		}
		template.SerialNumber = serial
	}
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		tb.Fatalf("make a certificate: %v", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("make a certificate: %v", err)
	}
	return certificate
}
