//go:build integration

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// NotaryClient is the client of Notary V1 as one person has it: with keys and a
// memory of repositories of its own.
type NotaryClient struct {
	dir    string
	notary *Notary
}

// Client is a new client of the server.
func (n *Notary) Client(name string) (*NotaryClient, error) {
	dir, err := os.MkdirTemp(n.dir, name+"-")
	if err != nil {
		return nil, err
	}
	c := &NotaryClient{dir: dir, notary: n}
	config, err := json.Marshal(map[string]any{
		"trust_dir": c.trustDir(), "remote_server": map[string]any{"url": "https://" + n.Host, "root_ca": n.caFile()},
	})
	if err != nil {
		return nil, err
	}
	return c, os.WriteFile(c.config(), config, 0o600)
}

func (c *NotaryClient) config() string   { return filepath.Join(c.dir, "config.json") }
func (c *NotaryClient) trustDir() string { return filepath.Join(c.dir, "trust") }

// Run runs a command.
func (c *NotaryClient) Run(ctx context.Context, args ...string) error { return c.run(ctx, "", args...) }

// run runs a command that reads the answers to what it asks.
func (c *NotaryClient) run(ctx context.Context, answers string, args ...string) error {
	cmd := exec.CommandContext(ctx, c.notary.client, append([]string{"-c", c.config()}, args...)...)
	cmd.Dir = c.dir
	cmd.Stdin = strings.NewReader(answers)
	const passphrase = "correct horse battery staple"
	cmd.Env = environment(c.dir,
		"NOTARY_ROOT_PASSPHRASE="+passphrase, "NOTARY_TARGETS_PASSPHRASE="+passphrase,
		"NOTARY_SNAPSHOT_PASSPHRASE="+passphrase, "NOTARY_DELEGATION_PASSPHRASE="+passphrase)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("notary %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Init publishes a new repository. Its keys are the client's, except for that of
// the timestamps. The root key is that of the client's other repositories; where
// it has been rotated, any one of them.
func (c *NotaryClient) Init(ctx context.Context, gun string) error {
	return c.Run(ctx, "init", gun, "--publish")
}

// Sign publishes a digest and a size under a tag; without roles, in "targets".
// What could not be published stays in the client, and is published with what
// comes next unless Run(ctx, "reset", gun, "--all") is first.
func (c *NotaryClient) Sign(ctx context.Context, gun, tag, digest string, size int, roles ...string) error {
	hash, ok := strings.CutPrefix(digest, "sha256:")
	if !ok {
		return fmt.Errorf("%q is not the kind of digest that notary takes", digest)
	}
	return c.Run(ctx, inRoles(roles, "addhash", gun, tag, strconv.Itoa(size), "--sha256", hash, "--publish")...)
}

// Remove publishes that a tag is no longer there; without roles, in "targets".
func (c *NotaryClient) Remove(ctx context.Context, gun, tag string, roles ...string) error {
	return c.Run(ctx, inRoles(roles, "remove", gun, tag, "--publish")...)
}

func inRoles(roles []string, command ...string) []string {
	if len(roles) == 0 {
		return command
	}
	return append(command, "--roles", strings.Join(roles, ","))
}

// Delete removes a repository from the server. The client keeps its keys.
func (c *NotaryClient) Delete(ctx context.Context, gun string) error {
	return c.Run(ctx, "delete", gun, "--remote")
}
