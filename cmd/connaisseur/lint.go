package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// clusterTimeout bounds the reading of a configuration from a cluster.
const clusterTimeout = 30 * time.Second

// The severities of problems.
const (
	severityError   = "error"
	severityWarning = "warning"
)

// problem is something about the configuration. Its keys are part of the
// interface.
type problem struct {
	Severity  string `json:"severity"`
	ConfigMap string `json:"configMap"`
	Path      string `json:"path"`
	Message   string `json:"message"`
}

const lintHelp = `Check the configuration: say everything that is wrong with it, and what is valid
but probably not meant, or weaker than it should be. Neither a registry nor a KMS
or TUF repository is asked.

With -o json or yaml the output is a list of what was found, each with its
severity (error or warning), configMap, path (of the key within it) and message.

The exit code is 0 if nothing is wrong, 1 if there are warnings and --strict is
set, and 2 if there are errors.`

const lintExamples = `  # Check the configuration in a folder before it is applied.
  connaisseur lint --config config/

  # Let a pipeline fail for warnings too.
  connaisseur lint --config config/ --strict`

// lint makes the command that checks the configuration.
func (c *cli) lint() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "lint",
		Short:             "Check the configuration",
		Long:              lintHelp,
		Example:           lintExamples,
		Args:              none("; the configuration is named with --config"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	from := addSource(cmd)
	fatal := cmd.Flags().Bool("strict", false, "end with exit code 1 if there are warnings")
	format := addOutput(cmd, formatText, formatJSON, formatYAML)
	cmd.RunE = running(func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), clusterTimeout)
		defer cancel()
		objects, err := from.read(ctx, c)
		if err != nil {
			return err
		}
		problems, sound := examine(objects)
		if format.value == formatText {
			err = writeProblems(c.out, problems, sound)
		} else {
			err = encode(c.out, format.value, problems)
		}
		if err != nil {
			return err
		}
		return worst(problems, *fatal)
	})
	return cmd
}

// examine finds what the webhook would find in the configuration, and what it
// would find in the edit of each of its ConfigMaps. sound sums a configuration
// without errors up.
func examine(objects config.Objects) (problems []problem, sound string) {
	builder := config.NewBuilder(cache.New(cache.Options{}))
	built := builder.Build(objects)
	errs := built.Errors
	for _, name := range config.Names {
		cm := objects.ConfigMaps[name]
		if cm == nil {
			continue
		}
		rejections, _ := config.Review(builder, objects, cm)
		for _, e := range rejections {
			if !mentioned(errs, e) {
				errs = append(errs, e)
			}
		}
	}
	problems = []problem{}
	for _, e := range errs {
		problems = append(problems, problem{severityError, e.Source, e.Path, e.Message})
	}
	for _, w := range built.Warnings {
		problems = append(problems, problem{severityWarning, w.Source, w.Path, w.Message})
	}
	if built.Snapshot != nil {
		sound = fmt.Sprintf("The configuration is valid: revision %s, rules: %d.", built.Snapshot.Revision, len(built.Snapshot.Rules))
	}
	return problems, sound
}

// mentioned tells whether something wrong with the same key is listed.
func mentioned(errs strict.Errors, e *strict.Error) bool {
	for _, other := range errs {
		if other.Source == e.Source && other.Path == e.Path {
			return true
		}
	}
	return false
}

func worst(problems []problem, fatal bool) error {
	for _, p := range problems {
		if p.Severity == severityError {
			return status(exitError)
		}
	}
	if len(problems) > 0 && fatal {
		return status(exitDenied)
	}
	return nil
}

func writeProblems(w io.Writer, problems []problem, sound string) error {
	count := map[string]int{}
	for _, p := range problems {
		count[p.Severity]++
		e := strict.Error{Source: p.ConfigMap, Path: p.Path, Message: p.Message}
		if _, err := fmt.Fprintf(w, "%s: %v\n", p.Severity, &e); err != nil {
			return err
		}
	}
	last := fmt.Sprintf("The configuration is not valid: errors: %d, warnings: %d.", count[severityError], count[severityWarning])
	if count[severityError] == 0 {
		last = fmt.Sprintf("%s Warnings: %d.", sound, count[severityWarning])
	}
	_, err := fmt.Fprintln(w, last)
	return err
}
