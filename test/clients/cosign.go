//go:build integration

package clients

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Cosign is one of the clients.
type Cosign struct {
	// SigningConfig is whether it is told of the services by a signing
	// configuration, as cosign 3 is by default, or by flags. Of Rekor's second
	// version only the former can tell.
	SigningConfig bool

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

// Sign has the client run a command that signs an image ("sign …" or
// "attest …") and makes use of the services.
func (c Cosign) Sign(ctx context.Context, services Services, image string, command ...string) error {
	s := c.sigstore
	var flags []string
	if c.SigningConfig {
		flags = []string{"--signing-config", s.signingConfig(services), "--trusted-root", s.trustedRootFile()}
	} else {
		flags = []string{"--fulcio-url", s.FulcioURL, "--oidc-issuer", s.Issuer, "--tlog-upload=false"}
		if services.include(Rekor) {
			flags = []string{"--fulcio-url", s.FulcioURL, "--oidc-issuer", s.Issuer, "--rekor-url", s.RekorURL}
		}
		if services.include(Timestamps) {
			flags = append(flags, "--timestamp-server-url", s.TimestampURL)
		}
	}
	return c.Run(ctx, slices.Concat(command, flags, []string{"--yes", image})...)
}

// Token is a file with an identity token for an e-mail address.
func (s *Sigstore) Token(email string) (file string, err error) {
	token, err := s.issuer.ofPerson(email)
	if err != nil {
		return "", err
	}
	return s.File(email+".token", token)
}

// BuildToken is a file with an identity token for a build of a branch or tag of
// a repository, HOST/PATH. Its certificates' subject is
// https://HOST/PATH/workflow@REF.
func (s *Sigstore) BuildToken(repository, ref string) (file string, err error) {
	token, err := s.issuer.ofBuild(repository, ref)
	if err != nil {
		return "", err
	}
	return s.File(url.PathEscape(repository+"@"+ref)+".token", token)
}

// File stores a text and gives its path.
func (s *Sigstore) File(name, text string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}
