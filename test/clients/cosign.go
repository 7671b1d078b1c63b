//go:build integration

package clients

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Cosign is one of the clients.
type Cosign struct {
	path     string
	sigstore *Sigstore
}

// Run runs a command. The client knows the Sigstore's keys and certificates, and
// nothing of the public one.
func (c Cosign) Run(ctx context.Context, args ...string) error {
	s := c.sigstore
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Dir = s.dir
	cmd.Env = environment(s.dir, "COSIGN_PASSWORD=",
		"SIGSTORE_REKOR_PUBLIC_KEY="+filepath.Join(s.dir, "rekor.pub"),
		"SIGSTORE_CT_LOG_PUBLIC_KEY_FILE="+filepath.Join(s.dir, "ctlog.pub"),
		"SIGSTORE_ROOT_FILE="+filepath.Join(s.dir, "fulcio.pem"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(c.path), strings.Join(args, " "), err, out)
	}
	return nil
}

// NewKey makes a key pair by cosign generate-key-pair, and gives the file of
// the private key and the public key in PEM form.
func (s *Sigstore) NewKey(ctx context.Context, name string) (file string, public []byte, err error) {
	if err := s.Cosign2.Run(ctx, "generate-key-pair", "--output-key-prefix", name); err != nil {
		return "", nil, err
	}
	public, err = os.ReadFile(filepath.Join(s.dir, name+".pub"))
	return filepath.Join(s.dir, name+".key"), public, err
}

// WithLegacyServices are the flags that make cosign 2, or cosign 3 without a
// signing configuration, use the services.
func (s *Sigstore) WithLegacyServices(services Services) []string {
	flags := []string{"--tlog-upload=false"}
	if strings.HasPrefix(string(services), string(Rekor)) {
		flags = []string{"--rekor-url", s.RekorURL}
	}
	if strings.HasSuffix(string(services), string(Timestamps)) {
		flags = append(flags, "--timestamp-server-url", s.TimestampURL)
	}
	return flags
}

// WithServices are the flags that make cosign 3 use the services.
func (s *Sigstore) WithServices(services Services) []string {
	return []string{"--signing-config", s.SigningConfig(services), "--trusted-root", s.trustedRootFile()}
}

// Token is a file with an identity token for an e-mail address.
func (s *Sigstore) Token(email string) (file string, err error) {
	token, err := s.issuer.token(email)
	if err != nil {
		return "", err
	}
	return s.File(email+".token", token)
}

// File stores a text and gives its path.
func (s *Sigstore) File(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
