//go:build integration

package clients

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// rekorTilesName is what the log calls itself in checkpoints. Clients look for
// it under the host of the log's URL.
const rekorTilesName = "127.0.0.1"

// Services that a signature may be made with, besides a key or Fulcio.
type Services string

// The services by name.
const (
	Nothing         Services = "nothing"
	Rekor           Services = "rekor"
	RekorTiles      Services = "rekor-tiles"
	Timestamps      Services = "timestamps"
	RekorTimestamps Services = "rekor,timestamps"
	TilesTimestamps Services = "rekor-tiles,timestamps"
)

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

// writeSigningConfigs tells cosign 3 which services to use, in a file for each
// choice.
func (s *Sigstore) writeSigningConfigs() error {
	service := func(url string, version uint32) root.Service {
		return root.Service{URL: url, MajorAPIVersion: version, ValidityPeriodStart: time.Now().Add(-lifetime), Operator: "test"}
	}
	all := map[string]root.Service{"rekor": service(s.RekorURL, 1), "rekor-tiles": service(s.RekorTilesURL, 2)}
	any := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
	for _, choice := range []Services{Nothing, Rekor, RekorTiles, Timestamps, RekorTimestamps, TilesTimestamps} {
		var logs, stampers []root.Service
		for _, name := range strings.Split(string(choice), ",") {
			if log, ok := all[name]; ok {
				logs = append(logs, log)
			}
			if name == string(Timestamps) {
				stampers = append(stampers, service(s.TimestampURL, 1))
			}
		}
		config, err := root.NewSigningConfig(root.SigningConfigMediaType02,
			[]root.Service{service(s.FulcioURL, 1)}, []root.Service{service(s.Issuer, 1)}, logs, any, stampers, any)
		if err != nil {
			return err
		}
		text, err := json.Marshal(config)
		if err != nil {
			return fmt.Errorf("signing config for %s: %w", choice, err)
		}
		if err := os.WriteFile(s.SigningConfig(choice), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// SigningConfig is the file of that name that makes cosign 3 use the services.
func (s *Sigstore) SigningConfig(services Services) string {
	return filepath.Join(s.dir, string(services)+".signing_config.json")
}
