//go:build integration

package clients

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// lifetime is how long the authorities' certificates are valid, before and
// after they are made.
const lifetime = 24 * time.Hour

// material is what the servers sign with.
type material struct {
	ctLog, rekor, fulcioKey, tsaKey *ecdsa.PrivateKey
	rekorTiles                      ed25519.PrivateKey  // as the public one
	fulcio, tsa                     []*x509.Certificate // chains, the root last
}

func newMaterial() (*material, error) {
	m := &material{}
	var wrong []error
	key := func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		wrong = append(wrong, err)
		return key
	}
	m.ctLog, m.rekor, m.fulcioKey, m.tsaKey = key(), key(), key(), key()
	fulcioRoot, tsaRoot := key(), key()
	var err error
	_, m.rekorTiles, err = ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(append(wrong, err)...); err != nil {
		return nil, err
	}
	issuing := authority("fulcio intermediate")
	issuing.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} // Fulcio demands it
	if m.fulcio, err = chain(issuing, m.fulcioKey, authority("fulcio root"), fulcioRoot); err != nil {
		return nil, err
	}
	m.tsa, err = chain(stamper(), m.tsaKey, authority("timestamp root"), tsaRoot)
	return m, err
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:  pkix.Name{CommonName: name, Organization: []string{"sigstore.test"}},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
	}
}

// stamper is for timestamps: its only extended key usage must be critical (RFC
// 3161, section 2.3), which crypto/x509 does not make by itself.
func stamper() *x509.Certificate {
	return &x509.Certificate{
		Subject:  pkix.Name{CommonName: "timestamps", Organization: []string{"sigstore.test"}},
		KeyUsage: x509.KeyUsageDigitalSignature,
		ExtraExtensions: []pkix.Extension{{
			Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true,
			Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08}, // timeStamping
		}},
	}
}

// chain issues a root's certificate and one by the root.
func chain(template *x509.Certificate, key crypto.Signer, rootTemplate *x509.Certificate, rootKey crypto.Signer) ([]*x509.Certificate, error) {
	root, err := issue(rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	if err != nil {
		return nil, err
	}
	leaf, err := issue(template, root, key.Public(), rootKey)
	return []*x509.Certificate{leaf, root}, err
}

func issue(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := cryptoutils.GenerateSerialNumber()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template.SerialNumber, template.NotBefore, template.NotAfter = serial, now.Add(-lifetime), now.Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// write puts what the servers read into files of the folder.
func (m *material) write(dir string) error {
	var wrong []error
	file := func(name, kind string, der []byte, err error) {
		wrong = append(wrong, err)
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		wrong = append(wrong, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	for name, key := range map[string]crypto.PrivateKey{
		"rekor.key": m.rekor, "rekor-tiles.key": m.rekorTiles, "fulcio.key": m.fulcioKey, "tsa.key": m.tsaKey,
	} {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		file(name, "PRIVATE KEY", der, err)
	}
	der, err := x509.MarshalECPrivateKey(m.ctLog)
	file("ctlog.key", "EC PRIVATE KEY", der, err)
	for name, text := range map[string][]byte{
		"fulcio.pem": certificatesPEM(m.fulcio...), "fulcio-root.pem": certificatesPEM(m.fulcio[1]), "tsa.pem": certificatesPEM(m.tsa...),
		"ctlog.pub": publicPEM(m.ctLog.Public()), "rekor.pub": publicPEM(m.rekor.Public()),
	} {
		wrong = append(wrong, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	return errors.Join(wrong...)
}

func certificatesPEM(certificates ...*x509.Certificate) []byte {
	var text bytes.Buffer
	for _, c := range certificates {
		_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a buffer takes everything
	}
	return text.Bytes()
}

// publicPEM encodes a key that was made here.
func publicPEM(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err) // not for these kinds of key
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
