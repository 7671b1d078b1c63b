package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

// environment is what commands get from outside.
type environment struct {
	in       io.Reader
	out, err io.Writer
	// now is the clock.
	now func() time.Time
	// cluster reads the configuration of a cluster.
	cluster clusterReader
	// pullSecrets reads those of workloads in a cluster.
	pullSecrets func(clusterOptions) (builtin.PullSecrets, error)
	// secrets reads those of a cluster, in any namespace.
	secrets func(clusterOptions) (secretReader, error)
	// forget has the versions forgotten that the replicas of a cluster have seen of
	// a repository's trust data, and tells whether there were any.
	forget func(ctx context.Context, o clusterOptions, server, repository string) (bool, error)
	// client changes the objects of a cluster.
	client func(clusterOptions) (kubernetes.Interface, error)
	// terminal tells whether somebody can be asked.
	terminal func() bool
	// build tells what the program was built from.
	build func() (*debug.BuildInfo, bool)
}

// cli is the command line.
type cli struct{ environment }

func newCLI(e environment) *cli { return &cli{e} }

// The exit codes, which are part of the interface.
const (
	exitOK           = 0
	exitDenied       = 1 // or what else the answer "no" is to a command
	exitError        = 2
	exitInconclusive = 3
)

// status ends a command with an exit code; whatever is to be said has been.
type status int

func (s status) Error() string { return fmt.Sprintf("exit code %d", int(s)) }

// runtimeError is what went wrong while a command ran. All other errors are
// about its usage.
type runtimeError struct{ error }

func (e runtimeError) Unwrap() error { return e.error }

// running has errors of a command's function told from those of its usage.
func running(fn func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		err := fn(cmd, args)
		if code := status(0); err == nil || errors.As(err, &code) {
			return err
		}
		return runtimeError{err}
	}
}

// root makes the command with all its subcommands.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "connaisseur",
		Short: "Tell which images a cluster's policy lets run, and why",
		Long: `Connaisseur lets only images into a Kubernetes cluster that are signed as its
policy demands. This command answers beforehand, with the same engine and the
same configuration, what the webhook in the cluster would decide.

The configuration is read from files with --config, or else from the current
cluster of your kubeconfig.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.AddCommand(c.verify(), c.admit(), c.explain(), c.lint(), c.alert(), c.migrate(), c.rootKey(), c.forgetVersions(), c.version())
	return root
}

// run executes a command line and returns the exit code.
func (c *cli) run(ctx context.Context, args []string) int {
	root := c.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if code := status(0); errors.As(err, &code) {
		return int(code)
	}
	c.complain(err)
	if !errors.As(err, new(runtimeError)) {
		fmt.Fprintf(c.err, "See '%s --help'.\n", cmd.CommandPath())
	}
	return exitError
}

// complain writes an error for people. Of a configuration each error has a
// line of its own.
func (c *cli) complain(err error) {
	var list strict.Errors
	if !errors.As(err, &list) {
		fmt.Fprintf(c.err, "error: %s\n", strings.TrimRight(err.Error(), "\n"))
		return
	}
	for _, e := range list {
		fmt.Fprintf(c.err, "error: %v\n", e)
	}
}

// atLeastOne wants arguments, and says what they are.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("there is no %s to look at", what)
		}
		return nil
	}
}

// exactlyOne wants one argument.
func exactlyOne(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("exactly one %s is needed, %d are given", what, len(args))
		}
		return nil
	}
}

// none wants no argument; hint says what to do instead.
func none(hint string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unexpected argument %q%s", args[0], hint)
		}
		return nil
	}
}
