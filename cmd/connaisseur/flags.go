package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The output formats.
const (
	formatText = "text"
	formatJSON = "json"
	formatYAML = "yaml"
)

// choice is a flag with a few possible values.
type choice struct {
	value   string
	allowed []string
}

var (
	_ pflag.Value = (*choice)(nil)
	_ pflag.Value = (*instant)(nil)
)

func (c *choice) String() string { return c.value }

// Type names the value in the help text.
func (c *choice) Type() string { return strings.Join(c.allowed, "|") }

// Set takes one of the allowed values.
func (c *choice) Set(s string) error {
	if !slices.Contains(c.allowed, s) {
		return fmt.Errorf("must be %s", strings.Join(c.allowed, ", "))
	}
	c.value = s
	return nil
}

// addOutput adds --output with these formats; the first is the default.
func addOutput(cmd *cobra.Command, formats ...string) *choice {
	format := &choice{value: formats[0], allowed: formats}
	cmd.Flags().VarP(format, "output", "o", "output format")
	complete(cmd, "output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	return format
}

// instant is a flag that holds a point in time; the zero value is now.
type instant struct{ time time.Time }

func (i *instant) String() string {
	if i.time.IsZero() {
		return ""
	}
	return i.time.Format(time.RFC3339)
}

// Type names the value in the help text.
func (i *instant) Type() string { return "time" }

// Set takes an RFC 3339 time, or a date, which is its midnight in UTC.
func (i *instant) Set(s string) error {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			i.time = t
			return nil
		}
	}
	return fmt.Errorf("must be a time such as 2026-01-31T12:00:00Z, or a date such as 2026-01-31")
}

// clock is one that stands still at the instant, or now if none is set.
func (i *instant) clock(now func() time.Time) func() time.Time {
	if i.time.IsZero() {
		return now
	}
	return func() time.Time { return i.time }
}

// addNamespace adds --namespace.
func addNamespace(cmd *cobra.Command) *string {
	namespace := cmd.Flags().StringP("namespace", "n", "default", "namespace where the workload is to run; rules may be for certain ones only")
	complete(cmd, "namespace", cobra.NoFileCompletions)
	return namespace
}

// complete has a flag's value completed. The flag is the command's own, which
// is all that can be wrong.
func complete(cmd *cobra.Command, flag string, fn cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, fn); err != nil {
		panic(err)
	}
}
