package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
)

// A key that somebody brings along is verified with before it is known whether
// to trust them: with an RSA key of 100 kB that takes half a minute, in which no
// deadline is looked at.
const (
	maxRSABits     = 8192
	maxRSAExponent = 1<<16 + 1
)

// CheckPublic refuses keys that are costly to verify with, or of a type that is
// not supported.
func CheckPublic(public crypto.PublicKey) error {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() > maxRSABits || key.E > maxRSAExponent {
			return fmt.Errorf("an RSA key of %d bits is larger than the %d bits that are allowed", key.N.BitLen(), maxRSABits)
		}
		return nil
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("a key of type %T is not supported", public)
}
