package dct

import (
	"crypto"
	"crypto/x509"
	"encoding/json"

	"github.com/theupdateframework/go-tuf/data"
	"github.com/theupdateframework/go-tuf/pkg/keys"
)

func init() { keys.VerifierMap.Store(tufType, func() keys.Verifier { return &verifier{} }) }

// verifier is a key with which go-tuf verifies.
type verifier struct {
	wire   *data.PublicKey
	spki   []byte
	public crypto.PublicKey
}

var _ keys.Verifier = (*verifier)(nil)

// UnmarshalPublicKey implements keys.Verifier.
func (v *verifier) UnmarshalPublicKey(key *data.PublicKey) (err error) {
	if err := json.Unmarshal(key.Value, &v.spki); err != nil {
		return err
	}
	v.wire = key
	v.public, err = x509.ParsePKIXPublicKey(v.spki)
	return err
}

// MarshalPublicKey implements keys.Verifier. By what it returns go-tuf tells
// keys apart that count towards a threshold: a key is the same key in whatever
// certificates it stands.
func (v *verifier) MarshalPublicKey() *data.PublicKey { return v.wire }

// Public implements keys.Verifier.
func (v *verifier) Public() string { return string(v.spki) }

// Verify implements keys.Verifier. The message is what forTUF has wrapped.
func (v *verifier) Verify(msg, sig []byte) error {
	var w wrapped
	if err := json.Unmarshal(msg, &w); err != nil {
		return err
	}
	return verifySignature(v.public, w.Hash, sig)
}
