//go:build integration

package clients

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"

	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// rekorTilesName is what the log calls itself in checkpoints. Clients look for
// it under the host of the log's URL.
const rekorTilesName = "127.0.0.1"

// trustedRoot is a trusted_root.json of all servers.
func (s *Sigstore) trustedRoot() ([]byte, error) {
	from, until := s.material.fulcio[1].NotBefore, s.material.fulcio[1].NotAfter
	log := func(url string, key crypto.PublicKey, id []byte) map[string]*root.TransparencyLog {
		return map[string]*root.TransparencyLog{hex.EncodeToString(id): {
			BaseURL: url, ID: id, PublicKey: key, HashFunc: crypto.SHA256, SignatureHashFunc: crypto.SHA256,
			ValidityPeriodStart: from, ValidityPeriodEnd: until,
		}}
	}
	rekors := log(s.RekorURL, s.material.rekor.Public(), keyID(s.material.rekor.Public()))
	_, tilesID, err := note.KeyHash(rekorTilesName, s.material.rekorTiles.Public())
	if err != nil {
		return nil, err
	}
	for id, tiles := range log(s.RekorTilesURL, s.material.rekorTiles.Public(), tilesID) {
		rekors[id] = tiles
	}
	trusted, err := root.NewTrustedRoot(root.TrustedRootMediaType01,
		[]root.CertificateAuthority{&root.FulcioCertificateAuthority{
			Intermediates: s.material.fulcio[:1], Root: s.material.fulcio[1], ValidityPeriodStart: from, ValidityPeriodEnd: until, URI: s.FulcioURL,
		}},
		log(s.ctLogURL, s.material.ctLog.Public(), keyID(s.material.ctLog.Public())),
		[]root.TimestampingAuthority{&root.SigstoreTimestampingAuthority{
			Leaf: s.material.tsa[0], Root: s.material.tsa[1], ValidityPeriodStart: from, ValidityPeriodEnd: until, URI: s.TimestampURL,
		}},
		rekors)
	if err != nil {
		return nil, err
	}
	return trusted.MarshalJSON()
}

// keyID is what Rekor v1 and CT logs are known by. RFC 6962, section 3.2.
func keyID(key crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err) // not for these kinds of key
	}
	sum := sha256.Sum256(der)
	return sum[:]
}
