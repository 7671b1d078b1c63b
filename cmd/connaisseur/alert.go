package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

const alertTestHelp = `Send a sample alert to a receiver of config-alerting, and print what it answers.

RECEIVER is the receiver's name; one without a name has that of its list and its
number in it, beginning with 0: admitRequest-0, rejectRequest-1. It is sent once,
from here and not from the cluster, whatever the receiver's limit is.

The exit code is 0 if the receiver has taken it, 1 if it refuses, 2 if the command
or the configuration is wrong, and 3 if the receiver could not be reached.`

const alertTestExamples = `  # Whether the receiver of rejected requests takes alerts.
  connaisseur alert test rejectRequest-0

  # What a receiver in a file would be sent.
  connaisseur alert test on-call --config config-alerting.yaml --dry-run`

// alert makes the command about alerts.
func (c *cli) alert() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "alert",
		Short: "Try the receivers of alerts",
		Long: `Try the receivers of alerts that config-alerting lists. Without a subcommand, this
help is printed.`,
		Example: alertTestExamples,
		Args:    none(""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.alertTest())
	return cmd
}

// alertTest makes the command that sends a sample.
func (c *cli) alertTest() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "test RECEIVER",
		Short:   "Send a sample alert to a receiver",
		Long:    alertTestHelp,
		Example: alertTestExamples,
		Args:    exactlyOne("receiver"),
	}
	from := addSource(cmd)
	dryRun := cmd.Flags().Bool("dry-run", false, "send nothing, and print what would be sent")
	timeout := cmd.Flags().Duration("timeout", 10*time.Second, "how long the receiver has to answer")
	complete(cmd, "timeout", cobra.NoFileCompletions)
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		alerts, _ := c.alerts(cmd.Context(), from) // without them there is nothing to offer
		return alerts.Names(), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.RunE = running(func(cmd *cobra.Command, args []string) error {
		alerts, err := c.alerts(cmd.Context(), from)
		if err != nil {
			return err
		}
		receiver, admits, ok := alerts.Find(args[0])
		if !ok {
			if len(alerts.Names()) == 0 {
				return fmt.Errorf("there is no receiver of alerts in %s", config.AlertingName)
			}
			return fmt.Errorf("there is no receiver %q; there is %s", args[0], strings.Join(alerts.Names(), ", "))
		}
		sample := alert.Sample(admits, c.now())
		payload, err := receiver.Payload(alerts.Cluster, sample, sample.ID())
		if err != nil {
			return err
		}
		if *dryRun {
			_, err := fmt.Fprintf(c.out, "%s\n", payload)
			return err
		}
		if err := receiver.Missing(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		return c.sendSample(ctx, receiver, payload)
	})
	return cmd
}

// maxAnswer is how much of an answer is printed, in bytes.
const maxAnswer = 4 << 10

// sendSample sends a payload and says what is answered.
func (c *cli) sendSample(ctx context.Context, receiver *alert.Receiver, payload []byte) error {
	answer, err := receiver.Post(ctx, payload)
	if err != nil && !sink.Refused(err) {
		fmt.Fprintf(c.err, "error: receiver %s could not be reached: %v\n", receiver.Name, err)
		return status(exitInconclusive)
	}
	for line := range strings.Lines(string(answer[:min(len(answer), maxAnswer)])) {
		fmt.Fprintf(c.out, "> %s\n", printable(strings.TrimRight(line, "\r\n")))
	}
	if err != nil {
		fmt.Fprintf(c.err, "error: receiver %s does not take the alert: %v\n", receiver.Name, err)
		return status(exitDenied)
	}
	_, err = fmt.Fprintf(c.out, "receiver %s has taken the alert\n", receiver.Name)
	return err
}

// alerts reads the receivers of the configuration. What is wrong with the rest of it
// does not matter.
func (c *cli) alerts(ctx context.Context, from *source) (alert.Settings, error) {
	built, err := from.loadAll(ctx, c, &effort{timeout: remoteTimeout})
	if all := (strict.Errors)(nil); errors.As(err, &all) {
		err = slices.DeleteFunc(all, func(e *strict.Error) bool { return e.Source != config.AlertingName }).Err()
	}
	return built.Alerts, err
}
