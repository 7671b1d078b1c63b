//go:build integration

package clients

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// Services are those that a signature is made with, besides a key or Fulcio:
// names with commas between them.
type Services string

// What a signature may be made with.
const (
	Nothing         Services = "nothing"
	Rekor           Services = "rekor"
	RekorTiles      Services = "rekor-tiles" // Rekor's second version
	Timestamps      Services = "timestamps"
	RekorTimestamps Services = "rekor,timestamps"
	TilesTimestamps Services = "rekor-tiles,timestamps"
)

func (s Services) include(one Services) bool {
	return slices.Contains(strings.Split(string(s), ","), string(one))
}

// writeSigningConfigs tells cosign 3 which services to use, in a file for each
// choice.
func (s *Sigstore) writeSigningConfigs() error {
	for _, choice := range []Services{Nothing, Rekor, RekorTiles, Timestamps, RekorTimestamps, TilesTimestamps} {
		var logs, stampers []root.Service
		if choice.include(Rekor) {
			logs = append(logs, service(s.RekorURL, 1))
		}
		if choice.include(RekorTiles) {
			logs = append(logs, service(s.RekorTilesURL, 2))
		}
		if choice.include(Timestamps) {
			stampers = append(stampers, service(s.TimestampURL, 1))
		}
		one := root.ServiceConfiguration{Selector: prototrustroot.ServiceSelector_ANY}
		config, err := root.NewSigningConfig(root.SigningConfigMediaType02,
			[]root.Service{service(s.FulcioURL, 1)}, []root.Service{service(s.Issuer, 1)}, logs, one, stampers, one)
		if err != nil {
			return err
		}
		text, err := config.MarshalJSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(s.signingConfig(choice), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func service(url string, version uint32) root.Service {
	return root.Service{URL: url, MajorAPIVersion: version, ValidityPeriodStart: time.Now().Add(-lifetime), Operator: "test"}
}

// signingConfig is the file that makes cosign 3 use the services.
func (s *Sigstore) signingConfig(services Services) string {
	return filepath.Join(s.dir, string(services)+".signing_config.json")
}
