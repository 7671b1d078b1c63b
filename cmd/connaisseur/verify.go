package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

const verifyHelp = `Verify images as the webhook would if a workload in the namespace used them.

An image is Trusted (a trusted signature was verified), Allowed (the policy
demands none), Skipped (the webhook does not look at the namespace), Denied, or
Inconclusive: it could not be checked, which says nothing about the image.

An image that fails but is let in all the same may run. Its outcome is the one in
the webhook's log: Excepted (an exception of config-policy is for it), Detected
(detection mode, of its rule or of all), or LastKnownGood (it was verified before
and cannot be just now; what the replicas of the webhook remember is not known
here, so that mostly this is Inconclusive). Its message says by what it is let in,
and reason and message what is wrong with it.

With -o json or yaml the output is a list with an entry for each image, in the
order of the arguments: image, outcome, allowed, and where there is something to
say tolerated (by what it is let in although it fails), digest, rule, validator,
trustRoots, signers, warnings, reason and message.

The exit code is 0 if all images may run, those included that are let in although
they fail, 1 if one is denied, 2 if the command or the configuration is wrong, and
3 if none is denied but one is inconclusive.`

const verifyExamples = `  # Verify an image with the configuration of the current cluster.
  connaisseur verify docker.io/myorg/app:v1

  # Verify two images with the configuration in a folder, for namespace prod.
  connaisseur verify nginx:1.27 redis:8 --config config/ -n prod

  # Verify each image that stands in a line of a file.
  connaisseur verify - --config config/ -o json < images.txt`

// verify makes the command that verifies images.
func (c *cli) verify() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "verify IMAGE...",
		Short:             "Verify images as the webhook would",
		Long:              verifyHelp,
		Example:           verifyExamples,
		Args:              atLeastOne("image"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	from, how := addSource(cmd), addEffort(cmd, "the images")
	namespace := addNamespace(cmd)
	format := addOutput(cmd, formatText, formatJSON, formatYAML)
	cmd.RunE = running(func(cmd *cobra.Command, args []string) error {
		images, err := c.expand(args)
		if err != nil {
			return err
		}
		results, err := c.verifyImages(cmd.Context(), images, *namespace, from, how)
		if err != nil {
			return err
		}
		if err := writeResults(c.out, format.value, results); err != nil {
			return err
		}
		var refused []string
		for _, r := range results {
			if !r.Allowed {
				refused = append(refused, r.Outcome)
			}
		}
		return summary(refused)
	})
	return cmd
}

// expand puts the lines of the standard input in the place of "-".
func (c *cli) expand(args []string) ([]string, error) {
	var images []string
	for _, arg := range args {
		if arg != "-" {
			images = append(images, arg)
			continue
		}
		lines := bufio.NewScanner(c.in)
		for lines.Scan() {
			if line := strings.TrimSpace(lines.Text()); line != "" && !strings.HasPrefix(line, "#") {
				images = append(images, line)
			}
		}
		if err := lines.Err(); err != nil {
			return nil, fmt.Errorf("the standard input cannot be read: %w", err)
		}
	}
	if len(images) == 0 {
		return nil, errors.New("the standard input names no image")
	}
	return images, nil
}

// verifyImages verifies images as if one Pod had them all: whatever makes Pods, they
// are what runs.
func (c *cli) verifyImages(ctx context.Context, images []string, namespace string, from *source, how *effort) ([]result, error) {
	ctx, cancel := context.WithTimeout(ctx, how.timeout)
	defer cancel()
	built, err := from.loadAll(ctx, c, how)
	if err != nil {
		return nil, err
	}
	w := &workload.Workload{Kind: schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, Namespace: namespace}
	for _, img := range images {
		w.Images = append(w.Images, workload.Image{Reference: img})
	}
	engine := verify.Engine{Now: how.at.clock(c.now)}
	verdict := engine.Verify(ctx, built.Snapshot, verify.Request{
		Workload:  w,
		Namespace: namespace,
		Identity:  validator.PullIdentity(namespace, w.ServiceAccount, w.PullSecrets),
	})
	results := make([]result, len(images))
	for i, img := range images {
		if verdict.Skipped != "" {
			results[i] = result{Image: img, Outcome: verify.Skipped.String(), Allowed: true, Message: "not looked at: " + verdict.Skipped}
			continue
		}
		results[i] = newResult(img, verdict, &verdict.Images[i])
		c.mention(&verdict.Images[i])
	}
	return results, nil
}

// mention writes what the webhook writes to its log only: the cause of an
// internal error.
func (c *cli) mention(v *verify.ImageVerdict) {
	if cause := v.Cause(); strings.Contains(cause, "panic") {
		fmt.Fprintf(c.err, "error: %s: %s\n", v.Image.Reference, cause)
	}
}

func writeResults(w io.Writer, format string, results []result) error {
	if format != formatText {
		return encode(w, format, results)
	}
	return writeTable(w, results)
}

// writeTable writes a line for each image, and below it who signed, or for those
// that are refused or let in all the same what is wrong.
func writeTable(w io.Writer, results []result) error {
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tOUTCOME\tDIGEST\tRULE\tREASON")
	for _, r := range results {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", printable(r.Image), r.Outcome, or(string(r.Digest)), or(r.Rule), or(string(r.Reason)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimRight(text.String(), "\n"), "\n") {
		out.WriteString(strings.TrimRight(line, " ") + "\n")
		if i > 0 && len(results[i-1].Signers) > 0 {
			out.WriteString("    signed by " + printable(strings.Join(results[i-1].Signers, ", ")) + "\n")
		}
		if i > 0 {
			for _, warning := range results[i-1].Warnings {
				out.WriteString("    warning: " + printable(warning) + "\n")
			}
		}
		if i > 0 && results[i-1].explained() {
			for message := range strings.SplitSeq(results[i-1].Message, "\n") {
				out.WriteString("    " + printable(message) + "\n")
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// explained tells whether the message says more than the outcome.
func (r *result) explained() bool {
	return !r.Allowed || r.Tolerated != "" || r.Outcome == verify.Skipped.String()
}

// or stands for an empty cell.
func or(cell string) string {
	if cell == "" {
		return "-"
	}
	return cell
}
