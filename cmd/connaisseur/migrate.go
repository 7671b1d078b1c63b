package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/sse-secure-systems/connaisseur/pkg/migrate"
)

const migrateHelp = `Turn the configuration of Connaisseur 3 into the ConfigMaps and Secrets of this
version.

FILE is a values file of the Helm chart, best the one of ` + "`helm get values --all`" + `, or
the configuration that the chart renders from it (the ConfigMap
connaisseur-app-config, or its entry config.yaml); - is the standard input.

The objects are written to the standard output as YAML, and what is to be said of
them to the standard error, each line with the path of the key in FILE:

  lost      could not be carried over; what depends on it is denied
  stricter  is checked more strictly now, or decided by another rule
  note      is worth knowing

Patterns had an implicit * at either end and are matched from the first to the last
character now: the references that are named as examples were tried with both. Where
something would be decided more leniently, a rule is added that keeps it as it was.

With --apply the objects are applied to the cluster (server-side, so that what else
is set in them stays), after a dry run, of which the differences are shown, and a
question. As soon as something is lost, --accept-losses is needed too.

The exit code is 0 if nothing is lost, 1 if something is, or nothing is applied by
your choice, and 2 if FILE cannot be read, or the cluster does not take the objects.`

const migrateExamples = `  # See what becomes of an installation.
  helm get values --all -o yaml connaisseur -n connaisseur | connaisseur migrate - >migrated.yaml

  # Check the result, and what would be decided with it.
  connaisseur lint --config migrated.yaml
  connaisseur explain docker.io/myorg/app:v1 --config migrated.yaml

  # Apply it.
  connaisseur migrate values.yaml --apply`

// migrate makes the command that migrates a configuration.
func (c *cli) migrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "migrate FILE",
		Short:   "Turn the configuration of Connaisseur 3 into that of this version",
		Long:    migrateHelp,
		Example: migrateExamples,
		Args:    exactlyOne("file"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	o := &clusterOptions{}
	addCluster(cmd, o)
	apply := cmd.Flags().Bool("apply", false, "apply the objects to the cluster instead of writing them")
	yes := cmd.Flags().BoolP("yes", "y", false, "apply them without asking")
	losses := cmd.Flags().Bool("accept-losses", false, "apply them though something is lost")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if (*yes || *losses) && !*apply {
			return errors.New("--yes and --accept-losses are for --apply")
		}
		return nil
	}
	cmd.RunE = running(func(cmd *cobra.Command, args []string) error {
		result, err := c.migrated(args[0], o.namespace)
		if err != nil {
			return err
		}
		switch {
		case !*apply:
			_, err = c.out.Write(result.YAML())
		case result.Lost() && !*losses:
			fmt.Fprintln(c.err, "error: something is lost, so that nothing is applied; --accept-losses applies the rest")
			return status(exitDenied)
		default:
			return c.apply(cmd.Context(), *o, result, *yes, args[0] == stdinName)
		}
		if err == nil && result.Lost() {
			err = status(exitDenied)
		}
		return err
	})
	return cmd
}

// stdinName stands for the standard input.
const stdinName = "-"

// migrated reads a file and says what there is to say about it.
func (c *cli) migrated(name, namespace string) (migrate.Result, error) {
	in := c.in
	if name != stdinName {
		file, err := os.Open(name)
		if err != nil {
			return migrate.Result{}, err
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, migrate.MaxBytes+1))
	if err != nil {
		return migrate.Result{}, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	result, err := migrate.Migrate(text, namespace)
	if err != nil {
		return migrate.Result{}, fmt.Errorf("%s cannot be migrated: %w", name, err)
	}
	for _, f := range result.Findings {
		fmt.Fprintln(c.err, printable(f.String()))
	}
	return result, nil
}
