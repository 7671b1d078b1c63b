package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

const rootKeyHelp = `Print the public root keys that a notary server (Notary V1, Docker Content Trust)
has for an image's repository, in PEM form, as a trust root of config-policy takes
them. Their IDs and a warning go to the standard error.

The keys are what the server claims. Compare them with what the repository's owner
publishes before you trust them: nobody else can tell whether they are the right
ones.`

const rootKeyExamples = `  # The root key of Docker's official images.
  connaisseur root-key docker.io/library/alpine

  # At another notary server, with a login of Docker's configuration.
  connaisseur root-key registry.example.com/app --server https://notary.example.com \
    --registry-config ~/.docker/config.json`

// rootKey is a root key for output. Its keys are part of the interface.
type rootKey struct {
	ID  string `json:"id"`
	Key string `json:"key"`
	// CommonName and NotAfter are the certificate's, if the key is in one.
	CommonName string     `json:"commonName,omitempty"`
	NotAfter   *time.Time `json:"notAfter,omitempty"`
}

// rootKey makes the command that prints root keys.
func (c *cli) rootKey() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "root-key IMAGE",
		Short:             "Print the root keys of an image's trust data (Notary V1)",
		Long:              rootKeyHelp,
		Example:           rootKeyExamples,
		Args:              exactlyOne("image"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	server := addServer(cmd)
	timeout := cmd.Flags().Duration("timeout", clusterTimeout, "how long the server's answer may take")
	logins := cmd.Flags().String("registry-config", "", "Docker configuration (~/.docker/config.json) with credentials for the server or the image's registry; credential helpers are not executed")
	authorities := cmd.Flags().String("certificate-authority", "", "file of PEM certificates that the server is verified with besides the system's")
	insecure := cmd.Flags().Bool("insecure", false, "let the server speak plain HTTP, have an unverified certificate or be on this machine")
	format := addOutput(cmd, "pem", formatJSON, formatYAML)
	complete(cmd, "timeout", cobra.NoFileCompletions)
	cmd.RunE = running(func(cmd *cobra.Command, args []string) error {
		at, err := server.of(args[0])
		if err != nil {
			return err
		}
		options := registry.Options{UserAgent: "connaisseur"}
		if *insecure {
			options.Hosts = []registry.Host{{Name: at.server, Insecure: true}}
		}
		if *authorities != "" {
			if options.CAs, err = os.ReadFile(*authorities); err != nil {
				return fmt.Errorf("the certificates cannot be read: %w", err)
			}
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		keys, err := at.rootKeys(ctx, options, *logins)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.err, "warning: this is what %s claims for %s; compare it with what the repository's owner publishes before you trust it\n", at.server, at.repository)
		if format.value != "pem" {
			return encode(c.out, format.value, keys)
		}
		for _, k := range keys {
			fmt.Fprintf(c.err, "root key %s%s\n", k.ID, k.certificate())
			fmt.Fprint(c.out, k.Key)
		}
		return nil
	})
	return cmd
}

// certificate says what certificate the key is in.
func (k rootKey) certificate() string {
	if k.NotAfter == nil {
		return ""
	}
	return fmt.Sprintf(" (certificate for %s, until %s)", printable(k.CommonName), k.NotAfter.Format(time.DateOnly))
}

// place is a repository at a notary server.
type place struct{ server, repository string }

// serverFlag says which notary server is meant.
type serverFlag struct{ text string }

func addServer(cmd *cobra.Command) *serverFlag {
	s := &serverFlag{}
	cmd.Flags().StringVar(&s.text, "server", "", "notary server, HOST[:PORT] or a URL; without it, "+notaryv1.DefaultServer+" for images of Docker Hub, and for others their registry")
	complete(cmd, "server", cobra.NoFileCompletions)
	return s
}

// of is where the trust data of an image is.
func (s *serverFlag) of(text string) (place, error) {
	ref, err := image.Parse(text)
	if err != nil {
		return place{}, err
	}
	at := s.text
	if at == "" && ref.Registry() != "docker.io" {
		at = ref.Registry()
	}
	server, err := notaryv1.ParseServer(at)
	if err != nil {
		return place{}, fmt.Errorf("--server: %w", err)
	}
	return place{server, ref.Registry() + "/" + ref.Repository()}, nil
}

// rootKeys asks the server.
func (p place) rootKeys(ctx context.Context, options registry.Options, logins string) ([]rootKey, error) {
	client, err := registry.New(options)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	access := client.As(nil, "")
	if logins != "" {
		text, err := os.ReadFile(logins)
		if err != nil {
			return nil, fmt.Errorf("the credentials for registries cannot be read: %w", err)
		}
		access = client.As(builtin.ServerLogins(p.server, credentials.FromDockerConfig(logins, text)), "file")
	}
	claim, failure := notaryv1.FetchRoot(ctx, access, p.server, p.repository)
	if failure != nil {
		return nil, failure
	}
	var keys []rootKey
	for _, k := range claim.Keys() {
		key := rootKey{ID: k.ID, Key: string(k.PEM)}
		if k.Certificate != nil {
			key.CommonName, key.NotAfter = k.Certificate.Subject.CommonName, &k.Certificate.NotAfter
		}
		keys = append(keys, key)
	}
	return keys, nil
}
