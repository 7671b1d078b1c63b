package registrytest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
)

// sign signs as cosign does: Ed25519 the payload itself, others its SHA-256.
func sign(tb TB, key crypto.Signer, payload []byte) []byte {
	tb.Helper()
	message, hash := payload, crypto.Hash(0)
	if _, ok := key.Public().(ed25519.PublicKey); !ok {
		sum := sha256.Sum256(payload)
		message, hash = sum[:], crypto.SHA256
	}
	signature, err := key.Sign(rand.Reader, message, hash)
	if err != nil {
		tb.Fatalf("sign: %v", err)
	}
	return signature
}

// Key makes an ECDSA P-256 key, as cosign's own are.
func Key(tb TB) crypto.Signer {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("make a key: %v", err)
	}
	return key
}

// PublicPEM is the key's public half in PEM form.
func PublicPEM(tb TB, key crypto.Signer) []byte {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		tb.Fatalf("encode a key: %v", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func encode(tb TB, value any) []byte {
	tb.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		tb.Fatalf("encode: %v", err)
	}
	return text
}
