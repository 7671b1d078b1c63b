//go:build integration

package clients

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
)

// Notation is the client of the Notary Project. It needs no server but
// registries.
type Notation struct {
	path string
	dir  string
}

// FindNotation builds the client. Close must be called if there is no error.
func FindNotation(ctx context.Context) (*Notation, error) {
	tools, err := find(ctx, "notation")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "notation-")
	if err != nil {
		return nil, err
	}
	return &Notation{path: tools["notation"], dir: dir}, nil
}

// Close removes all files of the clients.
func (n *Notation) Close() { _ = os.RemoveAll(n.dir) } // in the folder of temporary files

// File stores a text and gives its path.
func (n *Notation) File(name, text string) (string, error) {
	dir, err := os.MkdirTemp(n.dir, "file-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// NotationClient is the client as one person has it: with a configuration of its
// own, in which there is a key to sign with or certificates to trust.
type NotationClient struct {
	notation *Notation
	dir      string
}

// Signer is the client of somebody who signs.
func (n *Notation) Signer(who *notationtest.Signer) (*NotationClient, error) {
	c, err := n.client()
	if err != nil {
		return nil, err
	}
	key, err := x509.MarshalPKCS8PrivateKey(who.Key)
	if err != nil {
		return nil, err
	}
	const name = "own"
	keyFile, certFile := filepath.Join("localkeys", name+".key"), filepath.Join("localkeys", name+".crt")
	// There is no command for keys in files, but for self-signed ones of its own.
	keys, err := json.Marshal(map[string]any{"default": name, "keys": []any{
		map[string]string{"name": name, "keyPath": c.config(keyFile), "certPath": c.config(certFile)},
	}})
	if err != nil {
		return nil, err
	}
	return c, errors.Join(
		c.write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		c.write(certFile, []byte(who.ChainPEM())),
		c.write("signingkeys.json", keys))
}

// Verifier is the client of somebody who trusts these PEM certificates to sign,
// and those, if there are any, to make timestamps.
func (n *Notation) Verifier(ctx context.Context, authority, timestamps string) (*NotationClient, error) {
	c, err := n.client()
	if err != nil {
		return nil, err
	}
	stores := []string{}
	for kind, certificate := range map[string]string{"ca": authority, "tsa": timestamps} {
		if certificate == "" {
			continue
		}
		file, err := n.File(kind+".pem", certificate)
		if err != nil {
			return nil, err
		}
		if err := c.Run(ctx, "cert", "add", "--type", kind, "--store", "trusted", file); err != nil {
			return nil, err
		}
		stores = append(stores, kind+":trusted")
	}
	policy, err := json.Marshal(map[string]any{"version": "1.0", "trustPolicies": []any{map[string]any{
		"name": "all", "registryScopes": []string{"*"}, "trustStores": stores, "trustedIdentities": []string{"*"},
		"signatureVerification": map[string]string{"level": "strict"},
	}}})
	if err != nil {
		return nil, err
	}
	file, err := n.File("trustpolicy.json", string(policy))
	if err != nil {
		return nil, err
	}
	return c, c.Run(ctx, "policy", "import", file)
}

// client is a new client with nothing in its configuration.
func (n *Notation) client() (*NotationClient, error) {
	dir, err := os.MkdirTemp(n.dir, "home-")
	return &NotationClient{notation: n, dir: dir}, err
}

// config is the path of a file in the configuration.
// https://notaryproject.dev/docs/user-guides/how-to/directory-structure/
func (c *NotationClient) config(name string) string {
	return filepath.Join(c.dir, ".config", "notation", name)
}

func (c *NotationClient) write(name string, content []byte) error {
	path := c.config(name)
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600))
}

// Run runs a command.
func (c *NotationClient) Run(ctx context.Context, args ...string) error {
	_, err := c.output(ctx, args...)
	return err
}

func (c *NotationClient) output(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.notation.path, args...)
	cmd.Dir = c.dir
	cmd.Env = environment(c.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("notation %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// Sign signs an image in a registry that speaks plain HTTP. Without flags the
// signature is a JWS that expires never, has no timestamp, and is found under the
// referrers tag.
func (c *NotationClient) Sign(ctx context.Context, image string, flags ...string) error {
	return c.Run(ctx, slices.Concat([]string{"sign", "--insecure-registry"}, flags, []string{image})...)
}

// Verify tells whether an image is signed by somebody who is trusted.
func (c *NotationClient) Verify(ctx context.Context, image string) error {
	return c.Run(ctx, "verify", "--insecure-registry", image)
}

// List gives the digests of the manifests with an image's signatures.
func (c *NotationClient) List(ctx context.Context, image string) (digests []string, err error) {
	out, err := c.output(ctx, "list", "--insecure-registry", image)
	for line := range strings.Lines(out) {
		// They are the leaves of a tree.
		if _, digest, ok := strings.Cut(strings.TrimSpace(line), "── sha256:"); ok {
			digests = append(digests, "sha256:"+digest)
		}
	}
	return digests, err
}
