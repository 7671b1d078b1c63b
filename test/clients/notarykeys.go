//go:build integration

package clients

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
)

// DelegationKey is the form in which a delegation's key gets into a repository.
type DelegationKey int

const (
	// PlainKey is as docker trust has it: a public key, ECDSA.
	PlainKey DelegationKey = iota
	// Certificate is as notary's documentation has it: a certificate, ECDSA.
	Certificate
	// RSACertificate is as Docker's documentation has it, by openssl's default.
	RSACertificate
)

// AddDelegation publishes that another client, or the same one, may sign all
// tags in a role, "targets/…", with a new key. A role that exists gets one more.
// The signer can publish only when the server has the snapshot key: see Rotate.
func (c *NotaryClient) AddDelegation(ctx context.Context, gun, role string, signer *NotaryClient, form DelegationKey) error {
	dir, err := os.MkdirTemp(signer.dir, "delegation-")
	if err != nil {
		return err
	}
	private, public, err := newDelegationKey(form)
	if err != nil {
		return err
	}
	privateFile, publicFile := filepath.Join(dir, "private.pem"), filepath.Join(dir, "public.pem")
	if err := os.WriteFile(privateFile, private, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(publicFile, public, 0o600); err != nil {
		return err
	}
	// Not by notary key generate: what it writes to files it does not import.
	if err := signer.Run(ctx, "key", "import", privateFile, "--role", role); err != nil {
		return err
	}
	return c.Run(ctx, "delegation", "add", gun, role, publicFile, "--all-paths", "--publish")
}

func newDelegationKey(form DelegationKey) (private, public []byte, err error) {
	var key crypto.Signer
	if form == RSACertificate {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	private = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if form == PlainKey {
		return private, publicPEM(key.Public()), nil
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "delegation"}}
	certificate, err := issue(template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	return private, certificatesPEM(certificate), nil
}

// RemoveDelegation publishes that a role is no longer there. The server goes on
// serving the role's file; where the role is added again with another key, the
// new signer's first command is Run(ctx, "witness", gun, role, "--publish").
func (c *NotaryClient) RemoveDelegation(ctx context.Context, gun, role string) error {
	return c.Run(ctx, "delegation", "remove", gun, role, "--yes", "--publish")
}

// Rotate publishes a new key of a role. The server can have that of "snapshot",
// and always has that of "timestamp".
func (c *NotaryClient) Rotate(ctx context.Context, gun, role string, serverManaged bool) error {
	args := []string{"key", "rotate", gun, role}
	if serverManaged {
		args = append(args, "--server-managed")
	}
	return c.run(ctx, "yes\n", args...) // it asks about "root"
}

// RootKey is a repository's root key in PEM form, as the client knows it.
func (c *NotaryClient) RootKey(gun string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(c.trustDir(), "tuf", filepath.FromSlash(gun), "metadata", "root.json"))
	if err != nil {
		return nil, err
	}
	var root struct {
		Signed struct {
			Keys map[string]struct {
				Keyval struct{ Public []byte }
			}
			Roles map[string]struct{ Keyids []string }
		}
	}
	if err := json.Unmarshal(text, &root); err != nil {
		return nil, err
	}
	ids := root.Signed.Roles["root"].Keyids
	if len(ids) != 1 {
		return nil, fmt.Errorf("the root role of %s has %d keys, not one", gun, len(ids))
	}
	block, _ := pem.Decode(root.Signed.Keys[ids[0]].Keyval.Public)
	if block == nil {
		return nil, fmt.Errorf("the root key of %s is not a certificate", gun)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return publicPEM(certificate.PublicKey), nil
}
