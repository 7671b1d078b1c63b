package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// minRSABits is the smallest RSA modulus that is accepted (NIST SP 800-57
// part 1, 112 bits of security).
const minRSABits = 2048

// maxKeys bounds the PEM blocks of one trust root.
const maxKeys = 64

// Key is a public key that signatures are verified with.
type Key struct {
	// Public is the key itself.
	Public crypto.PublicKey
	// ID is the lower-case hexadecimal SHA-256 of the key's SubjectPublicKeyInfo.
	ID string
	// Verifiers verify with the key, one for each hash that signing clients
	// use with it. One of them suffices.
	Verifiers []signature.Verifier
}

// KeyID is the ID of the key in a SubjectPublicKeyInfo.
func KeyID(spki []byte) string {
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:])
}

// Is tells whether it is this public key.
func (k Key) Is(public crypto.PublicKey) bool {
	known, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	return ok && known.Equal(public)
}

// ParseKeys reads one or more PEM blocks, each a public key: ECDSA on P-256,
// P-384 or P-521, RSA of 2048 bits and more, or Ed25519. Text before, between
// and behind the blocks is not accepted.
func ParseKeys(text []byte) ([]Key, error) {
	var keys []Key
	err := eachBlock(text, func(block *pem.Block) error {
		key, err := parseBlock(block)
		if err != nil {
			return err
		}
		if keys = append(keys, key); len(keys) > maxKeys {
			return fmt.Errorf("has more than %d keys", maxKeys)
		}
		return nil
	})
	switch {
	case errors.Is(err, errOutside):
		return nil, errors.New("is not a PEM public key: there is text outside of -----BEGIN PUBLIC KEY----- and -----END PUBLIC KEY-----")
	case errors.Is(err, errBroken):
		return nil, fmt.Errorf("is not a PEM public key: %w", err)
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return nil, errors.New("is empty; it must hold a PEM public key")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (Key, error) {
	switch {
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return Key{}, errors.New("is a private key, which does not belong here: replace it, and use the public key")
	case block.Type == "CERTIFICATE":
		return Key{}, errors.New("is a certificate; it must be a public key")
	}
	public, err := cryptoutils.UnmarshalPEMToPublicKey(pem.EncodeToMemory(block))
	if err != nil { // what it says is about ASN.1, and for nobody who has pasted a key
		return Key{}, fmt.Errorf("is not a PEM public key: what its block %q holds is no public key of a kind that can be read, which are ECDSA, RSA and Ed25519 (is it damaged?)", block.Type)
	}
	hashes, err := hashesFor(public)
	if err != nil {
		return Key{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("is not a public key: %w", err)
	}
	key := Key{Public: public, ID: KeyID(der)}
	for _, hash := range hashes {
		verifier, err := signature.LoadVerifier(public, hash)
		if err != nil {
			return Key{}, fmt.Errorf("cannot be used to verify: %w", err)
		}
		key.Verifiers = append(key.Verifiers, verifier)
	}
	return key, nil
}

// hashesFor lists the hashes that a key's signatures may be over: cosign signs
// with SHA-256 whatever the key, a KMS with the hash that the curve demands.
func hashesFor(public crypto.PublicKey) ([]crypto.Hash, error) {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return []crypto.Hash{crypto.SHA256}, nil
		case elliptic.P384():
			return []crypto.Hash{crypto.SHA256, crypto.SHA384}, nil
		case elliptic.P521():
			return []crypto.Hash{crypto.SHA256, crypto.SHA512}, nil
		}
		return nil, fmt.Errorf("is on the curve %s; it must be P-256, P-384 or P-521", key.Curve.Params().Name)
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits {
			return nil, fmt.Errorf("is an RSA key of %d bits; it must have %d or more", bits, minRSABits)
		}
		return []crypto.Hash{crypto.SHA256}, nil
	case ed25519.PublicKey:
		return []crypto.Hash{crypto.SHA256}, nil
	}
	return nil, fmt.Errorf("is a key of type %T; it must be ECDSA, RSA or Ed25519", public)
}
