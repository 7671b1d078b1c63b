//go:build integration

package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// launch is a server to start: its arguments and what shows that it is ready.
type launch struct {
	name  string
	args  []string
	ready func(context.Context) error
}

func (s *Sigstore) startServers(ctx context.Context, tools map[string]string) error {
	s.Issuer, s.BuildIssuer = s.issuer.url(), s.issuer.url()+builds
	if err := s.material.write(s.dir); err != nil {
		return err
	}
	if err := s.configureFulcio(); err != nil {
		return err
	}
	ports, err := freePorts(10)
	if err != nil {
		return err
	}
	// Rekor makes its tree in Trillian when it starts.
	if err := s.run(ctx, tools, s.trillian(ports[0])); err != nil {
		return err
	}
	return s.run(ctx, tools,
		s.rekor(ports[1], ports[0]), s.rekorTiles(ports[2], ports[3], ports[4]), s.timestamps(ports[5]),
		s.fulcio(ports[6], ports[7], ports[8], ports[9]), s.ctLog(ports[9]))
}

// run starts servers and waits for all of them.
func (s *Sigstore) run(ctx context.Context, tools map[string]string, launches ...launch) error {
	var group errgroup.Group
	for _, l := range launches {
		started, err := startServer(s.dir, l.name, tools[l.name], l.args...)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		s.servers = append(s.servers, started)
		group.Go(func() error { return started.await(ctx, l.ready) })
	}
	return group.Wait()
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (s *Sigstore) trillian(port int) launch {
	return launch{"trillian", []string{"-address", local(port)}, listens(local(port))}
}

// rekor is Rekor's first version; without an index to search, as that is
// another database.
func (s *Sigstore) rekor(port, trillian int) launch {
	s.RekorURL = "http://" + local(port)
	return launch{"rekor-server", []string{
		"serve", "--port", strconv.Itoa(port), "--rekor_server.hostname", "127.0.0.1", "--rekor_server.signer", "rekor.key",
		"--trillian_log_server.port", strconv.Itoa(trillian), "--enable_retrieve_api=false",
		"--enabled_api_endpoints", "getLogInfo,getPublicKey,getLogProof,createLogEntry,getLogEntryByIndex,getLogEntryByUUID,searchLogQuery",
	}, answers(s.RekorURL + "/api/v1/log/publicKey")}
}

// rekorTiles is Rekor's second version. Clients wait for a checkpoint, so there
// are many.
func (s *Sigstore) rekorTiles(port, grpc, metrics int) launch {
	s.RekorTilesURL = "http://" + local(port)
	return launch{"rekor-tiles", []string{
		"serve", "--http-port", strconv.Itoa(port), "--grpc-port", strconv.Itoa(grpc), "--http-metrics-port", strconv.Itoa(metrics),
		"--hostname", rekorTilesName, "--storage-dir", filepath.Join(s.dir, "rekor-tiles"), "--signer-filepath", "rekor-tiles.key",
		"--checkpoint-interval", "100ms", "--batch-max-age", "50ms",
	}, answers(s.RekorTilesURL + "/healthz")}
}

func (s *Sigstore) timestamps(port int) launch {
	base := "http://" + local(port)
	s.TimestampURL = base + "/api/v1/timestamp"
	return launch{"timestamp-server", []string{"-port", strconv.Itoa(port), "-key", "tsa.key", "-certificate-chain", "tsa.pem"}, answers(base + "/ping")}
}

func (s *Sigstore) fulcio(port, grpc, metrics, ctLog int) launch {
	s.FulcioURL = "http://" + local(port)
	return launch{"fulcio", []string{
		"serve", "--host", "127.0.0.1", "--port", strconv.Itoa(port), "--grpc-host", "127.0.0.1", "--grpc-port", strconv.Itoa(grpc),
		"--metrics-port", strconv.Itoa(metrics), "--legacy-unix-domain-socket", filepath.Join(s.dir, "fulcio.sock"), "--config-path", "fulcio.json", "--ct-log-url", "http://" + local(ctLog), "--ct-log-public-key-path", "ctlog.pub",
		"--ca", "fileca", "--fileca-cert", "fulcio.pem", "--fileca-key", "fulcio.key", "--fileca-key-passwd=", "--fileca-watch=false",
	}, answers(s.FulcioURL + "/healthz")}
}

// configureFulcio has it trust both issuers, and what it takes over into the
// certificates of builds.
func (s *Sigstore) configureFulcio() error {
	text, err := json.Marshal(map[string]any{
		"OIDCIssuers": map[string]any{
			s.Issuer:      map[string]any{"IssuerURL": s.Issuer, "ClientID": audience, "Type": "email"},
			s.BuildIssuer: map[string]any{"IssuerURL": s.BuildIssuer, "ClientID": audience, "Type": "ci-provider", "CIProvider": "test"},
		},
		"CIIssuerMetadata": map[string]any{"test": map[string]any{
			"SubjectAlternativeNameTemplate": "https://{{ .repository }}/workflow@{{ .ref }}",
			"ExtensionTemplates": map[string]any{
				"SourceRepositoryURI": "https://{{ .repository }}", "SourceRepositoryRef": "ref", "BuildSignerURI": "https://{{ .repository }}/workflow@{{ .ref }}",
			},
		}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, "fulcio.json"), text, 0o600)
}

// ctLog is the certificate transparency log.
func (s *Sigstore) ctLog(port int) launch {
	s.ctLogURL = "http://" + local(port)
	return launch{"tesseract", []string{
		"-http_endpoint", local(port), "-origin", "ctlog.sigstore.test", "-private_key", "ctlog.key", "-roots_pem_file", "fulcio-root.pem",
		"-storage_dir", filepath.Join(s.dir, "ctlog"), "-checkpoint_interval", "100ms", "-batch_max_age", "50ms", "-enable_publication_awaiter=false",
	}, answers(s.ctLogURL + "/ct/v1/get-roots")}
}
