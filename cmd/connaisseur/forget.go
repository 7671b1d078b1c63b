package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

const forgetHelp = `Forget the highest versions that were seen of a repository's trust data (Notary
V1), in all replicas.

Images are denied as RolledBack where a notary server has older trust data than
was seen before. If the repository's owner has deleted the trust data and begun
anew, this lets the webhook take what the server has now; the root must be signed
by the pinned keys all the same. If the owner has not, somebody is tampering with
the server, and this is what they need you to do.

The exit code is 0 if it was forgotten, 1 if nothing was known of it, and 2 if the
command is wrong or the cluster cannot be changed.`

const forgetExamples = `  # An image whose trust data was begun anew, at Docker Hub.
  connaisseur forget docker.io/myorg/app

  # At another notary server.
  connaisseur forget registry.example.com/app --server https://notary.example.com`

// forgetVersions makes the command that has versions forgotten.
func (c *cli) forgetVersions() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "forget IMAGE",
		Short:             "Forget which versions of an image's trust data were seen",
		Long:              forgetHelp,
		Example:           forgetExamples,
		Args:              exactlyOne("image"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o := &clusterOptions{}
	addCluster(cmd, o)
	server := addServer(cmd)
	cmd.RunE = running(func(cmd *cobra.Command, args []string) error {
		at, err := server.of(args[0])
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), clusterTimeout)
		defer cancel()
		known, err := c.forget(ctx, *o, at.server, at.repository)
		if err != nil {
			return fmt.Errorf("the versions of %s cannot be forgotten (ConfigMap %s): %w", at.repository, config.VersionsName, err)
		}
		if !known {
			fmt.Fprintf(c.err, "error: nothing is known of %s at %s\n", at.repository, at.server)
			return status(exitDenied)
		}
		_, err = fmt.Fprintf(c.out, "the versions of %s at %s are forgotten\n", at.repository, at.server)
		return err
	})
	return cmd
}
