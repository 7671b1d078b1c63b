package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

const admitHelp = `Do to manifests what the webhook would if they were created.

The objects are written to the standard output as they would be stored: where
the policy demands it, with the digest that was verified in each image
reference. An object that is denied or could not be checked is left out; one of a
kind that runs no images is passed through. What was decided about each image is
written to the standard error, with the outcomes of connaisseur verify. An object
that is admitted although an image fails is written too, and that image is Excepted,
Detected or LastKnownGood, with the reason why it is let in.

The exit code is 0 if all objects are admitted, those included that are admitted
although an image fails, 1 if one is denied, 2 if the command, a manifest or the
configuration is wrong, and 3 if none is denied but one could not be checked.`

const admitExamples = `  # What would become of these manifests in the current cluster?
  connaisseur admit -f deployment.yaml

  # Pin what a chart renders, with the configuration in a folder.
  helm template ./chart | connaisseur admit -f - --config config/ > pinned.yaml`

// admit makes the command that does to manifests what the webhook would.
func (c *cli) admit() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "admit -f FILE...",
		Short:             "Do to manifests what the webhook would",
		Long:              admitHelp,
		Example:           admitExamples,
		Args:              none("; manifests are named with -f"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	from, how := addSource(cmd), addEffort(cmd, "each object")
	namespace := addNamespace(cmd)
	cmd.Flag("namespace").Usage = "namespace of objects that do not name one themselves"
	format := addOutput(cmd, formatYAML, formatJSON)
	files := cmd.Flags().StringArrayP("filename", "f", nil, "file or folder of manifests, or - for the standard input; may be given several times")
	if err := cmd.MarkFlagRequired("filename"); err != nil {
		panic(err) // the flag is the command's own
	}
	cmd.RunE = running(func(cmd *cobra.Command, _ []string) error {
		manifests, err := readManifests(*files, c.in)
		if err != nil {
			return err
		}
		loading, cancel := context.WithTimeout(cmd.Context(), how.timeout)
		defer cancel()
		built, err := from.loadAll(loading, c, how)
		if err != nil {
			return err
		}
		if err := recognize(manifests, built.Snapshot.Workloads); err != nil {
			return err
		}
		w := newWebhook(built.Snapshot, verify.Engine{Now: how.at.clock(c.now)}, how.timeout)
		return c.report(w.admitAll(cmd.Context(), manifests, *namespace), format.value)
	})
	return cmd
}

// report writes what became of the objects.
func (c *cli) report(answers []admitted, format string) error {
	var refused []string
	var objects [][]byte
	for _, a := range answers {
		if a.err != nil {
			return a.err
		}
		if a.allowed {
			objects = append(objects, a.object)
		}
		if a.manifest.covered {
			refused = append(refused, a.refused()...)
			c.reportImages(a)
		}
	}
	if err := writeObjects(c.out, format, objects); err != nil {
		return err
	}
	return summary(refused)
}

// reportImages writes a line for each image of an object.
func (c *cli) reportImages(a admitted) {
	say := func(outcome, what string) {
		fmt.Fprintln(c.err, printable(fmt.Sprintf("%s: %s: %s", a.who(), outcome, what)))
	}
	switch {
	case a.verdict == nil:
		say(a.outcome, a.message)
	case a.verdict.Skipped != "":
		say(a.outcome, "not looked at: "+a.verdict.Skipped)
	case len(a.verdict.Images) == 0:
		say(a.outcome, "it has no image")
	default:
		for i := range a.verdict.Images {
			img := &a.verdict.Images[i]
			what := admission.Tolerating(a.verdict.Tolerance(img), img) + img.String()
			say(outcomeOf(a.verdict, img), strings.ReplaceAll(what, "\n", " "))
			c.mention(img)
		}
	}
}

// writeObjects writes objects as YAML documents, or one after the other as
// JSON.
func writeObjects(w io.Writer, format string, objects [][]byte) error {
	for i, object := range objects {
		if format == formatJSON {
			if err := encode(w, format, json.RawMessage(object)); err != nil {
				return err
			}
			continue
		}
		text, err := yaml.JSONToYAML(object)
		if err != nil {
			return err
		}
		if i > 0 {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}
