//go:build integration

package clients

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// Sigstore is a running instance of all servers, and the clients that use it.
type Sigstore struct {
	Cosign2, Cosign3 Cosign

	// Where the servers are.
	FulcioURL, RekorURL, RekorTilesURL, TimestampURL string

	// The issuers of identity tokens, for people and for builds.
	Issuer, BuildIssuer string

	// TrustedRoot is a trusted_root.json, the others are PEM.
	TrustedRoot, FulcioChain, CTLogKey, RekorKey, RekorTilesKey, TSAChain []byte

	dir      string
	ctLogURL string
	material *material
	issuer   *issuer
	servers  []*server
}

// Start builds and starts everything. Close must be called if there is no error.
func Start(ctx context.Context) (*Sigstore, error) {
	tools, err := find(ctx, "cosign", "cosign3", "fulcio", "tesseract", "timestamp-server", "trillian", "rekor-server", "rekor-tiles")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sigstore-")
	if err != nil {
		return nil, err
	}
	s := &Sigstore{dir: dir}
	s.Cosign2 = Cosign{path: tools["cosign"], sigstore: s}
	s.Cosign3 = Cosign{path: tools["cosign3"], sigstore: s, SigningConfig: true}
	if err := errors.Join(s.start(ctx, tools), ctx.Err()); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Sigstore) start(ctx context.Context, tools map[string]string) (err error) {
	if s.material, err = newMaterial(); err != nil {
		return err
	}
	if s.issuer, err = newIssuer(); err != nil {
		return err
	}
	if err = s.startServers(ctx, tools); err != nil {
		return err
	}
	m := s.material
	s.FulcioChain, s.TSAChain = certificatesPEM(m.fulcio...), certificatesPEM(m.tsa...)
	s.CTLogKey, s.RekorKey, s.RekorTilesKey = publicPEM(m.ctLog.Public()), publicPEM(m.rekor.Public()), publicPEM(m.rekorTiles.Public())
	if s.TrustedRoot, err = s.trustedRoot(); err != nil {
		return err
	}
	if err = os.WriteFile(s.trustedRootFile(), s.TrustedRoot, 0o600); err != nil {
		return err
	}
	return s.writeSigningConfigs()
}

// Close stops the servers and removes their files.
func (s *Sigstore) Close() {
	for _, server := range s.servers {
		server.stop()
	}
	if s.issuer != nil {
		s.issuer.server.Close()
	}
	_ = os.RemoveAll(s.dir) // in the folder of temporary files
}

func (s *Sigstore) trustedRootFile() string { return filepath.Join(s.dir, "trusted_root.json") }
