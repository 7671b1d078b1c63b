package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// versionInfo is what the program was built from.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// version makes the command that prints the version.
func (c *cli) version() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print the version",
		Long:              "Print the version, and what this program was built from.",
		Args:              none(""),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	format := addOutput(cmd, formatText, formatJSON, formatYAML)
	cmd.RunE = running(func(*cobra.Command, []string) error {
		info := c.versionInfo()
		if format.value != formatText {
			return encode(c.out, format.value, info)
		}
		_, err := fmt.Fprintln(c.out, info)
		return err
	})
	return cmd
}

func (c *cli) versionInfo() versionInfo {
	info := versionInfo{Version: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	build, ok := c.build()
	if !ok {
		return info
	}
	if build.Main.Version != "" {
		info.Version = build.Main.Version
	}
	for _, setting := range build.Settings {
		switch setting.Key {
		case "vcs.revision":
			info.Commit = setting.Value
		case "vcs.time":
			info.Date = setting.Value
		case "vcs.modified":
			info.Modified = setting.Value == "true"
		}
	}
	return info
}

func (v versionInfo) String() string {
	text := "connaisseur " + v.Version
	if v.Commit != "" {
		text += ", commit " + v.Commit
		if v.Modified {
			text += " with changes"
		}
	}
	if v.Date != "" {
		text += " of " + v.Date
	}
	return text + ", " + v.Go + " " + v.Platform
}
