package notarytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
)

// TB is what is needed of a testing.TB.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Key is a key that metadata is signed with.
type Key struct {
	// ID is what the metadata calls it.
	ID string
	// Wire is how the metadata describes it.
	Wire map[string]any

	signer crypto.Signer
}

// NewKey makes an ECDSA key on P-256.
func NewKey(tb TB) *Key {
	tb.Helper()
	return NewCurveKey(tb, elliptic.P256())
}

// NewCurveKey makes an ECDSA key.
func NewCurveKey(tb TB, curve elliptic.Curve) *Key {
	tb.Helper()
	signer, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		tb.Fatalf("a key: %v", err)
	}
	return FromSigner(tb, signer)
}

// NewRSAKey makes an RSA key.
func NewRSAKey(tb TB, bits int) *Key {
	tb.Helper()
	signer, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatalf("a key: %v", err)
	}
	return FromSigner(tb, signer)
}

// FromSigner is the key of a signer.
func FromSigner(tb TB, signer crypto.Signer) *Key {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		tb.Fatalf("a key: %v", err)
	}
	return newKey(tb, signer, kind(signer), der)
}

func kind(signer crypto.Signer) string {
	if _, ok := signer.(*rsa.PrivateKey); ok {
		return "rsa"
	}
	return "ecdsa"
}

func newKey(tb TB, signer crypto.Signer, keytype string, public []byte) *Key {
	wire := map[string]any{"keytype": keytype, "keyval": map[string]any{"private": nil, "public": base64.StdEncoding.EncodeToString(public)}}
	return &Key{ID: hash(canonical(tb, wire)), Wire: wire, signer: signer}
}

// Certified is the same key in a certificate of its own with this common name,
// valid from an hour before to ten years after now.
func (k *Key) Certified(tb TB, commonName string) *Key {
	tb.Helper()
	return k.CertifiedUntil(tb, commonName, time.Now().AddDate(10, 0, 0))
}

// CertifiedUntil is Certified with another end.
func (k *Key) CertifiedUntil(tb TB, commonName string, end time.Time) *Key {
	tb.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: commonName},
		NotBefore: time.Now().AddDate(-1, 0, 0), NotAfter: end, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.signer.Public(), k.signer)
	if err != nil {
		tb.Fatalf("a certificate: %v", err)
	}
	return newKey(tb, k.signer, kind(k.signer)+"-x509", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// PEM is the public key, as it is pinned.
func (k *Key) PEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.signer.Public())
	if err != nil {
		panic(err) // it was marshalled before
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// sign signs as Notary's clients do: r‖s, and PSS with a salt of 32 bytes.
func (k *Key) sign(tb TB, message []byte) map[string]any {
	sum := sha256.Sum256(message)
	var signature []byte
	var err error
	method := "ecdsa"
	switch signer := k.signer.(type) {
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, signer, sum[:]); err == nil {
			size := (signer.Curve.Params().BitSize + 7) / 8
			signature = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	case *rsa.PrivateKey:
		method = "rsapss"
		signature, err = rsa.SignPSS(rand.Reader, signer, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: sha256.Size})
	}
	if err != nil {
		tb.Fatalf("a signature: %v", err)
	}
	return map[string]any{"keyid": k.ID, "method": method, "sig": base64.StdEncoding.EncodeToString(signature)}
}

func canonical(tb TB, value any) []byte {
	text, err := cjson.EncodeCanonical(value)
	if err != nil {
		tb.Fatalf("canonical JSON: %v", err)
	}
	return text
}

func hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// WithWire is a key that the metadata describes in another way, under the ID that
// belongs to that.
func WithWire(tb TB, k *Key, wire map[string]any) *Key {
	tb.Helper()
	return &Key{ID: hash(canonical(tb, wire)), Wire: wire, signer: k.signer}
}
