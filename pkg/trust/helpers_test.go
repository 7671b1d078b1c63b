package trust_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// newECDSA makes a key pair; nothing that is committed can expire or leak.
func newECDSA(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEd25519(t testing.TB) ed25519.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func spki(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func publicPEM(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	return block("PUBLIC KEY", spki(t, public))
}

// newPEM is the PEM text of a new public key.
func newPEM(t testing.TB) string {
	t.Helper()
	return publicPEM(t, newECDSA(t, elliptic.P256()).Public())
}

func idOf(t testing.TB, public crypto.PublicKey) string {
	t.Helper()
	sum := sha256.Sum256(spki(t, public))
	return hex.EncodeToString(sum[:])
}

// objects is a Source that holds entries by the reference that names them, and
// remembers what it was asked for.
type objects struct {
	entries map[string]string
	err     error
	asked   []string
}

func (o *objects) ConfigMapEntry(name, key string) ([]byte, error) {
	return o.entry("configmap://" + name + "/" + key)
}

func (o *objects) SecretEntry(namespace, name, key string) ([]byte, error) {
	return o.entry("k8s://" + namespace + "/" + name + "/" + key)
}

func (o *objects) entry(reference string) ([]byte, error) {
	o.asked = append(o.asked, reference)
	if o.err != nil {
		return nil, o.err
	}
	if text, ok := o.entries[reference]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("it %w", trust.ErrNotThere)
}

func (o *objects) Remote(where trust.Remote) ([]byte, error) {
	if text, err := o.entry(where.String()); err == nil {
		return text, nil
	}
	return nil, fmt.Errorf("it %w", trust.ErrUnavailable)
}
