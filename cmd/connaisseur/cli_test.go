package main

import (
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

func TestCompletion(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args []string
		want []string
	}{
		"commands":                {[]string{""}, []string{"verify", "admit", "explain", "lint", "migrate", "root-key", "forget", "version"}},
		"output formats":          {[]string{"verify", "--output", ""}, []string{"text\njson\nyaml\n:4"}},
		"output formats of admit": {[]string{"admit", "-o", ""}, []string{"yaml\njson\n:4"}},
		"an image is no file":     {[]string{"verify", ""}, []string{":4"}},
		"explain's is none":       {[]string{"explain", ""}, []string{":4"}},
		"a configuration is one":  {[]string{"lint", "--config", ""}, []string{":0"}},
		"manifests are":           {[]string{"admit", "-f", ""}, []string{":0"}},
		"values are a file":       {[]string{"migrate", ""}, []string{":0"}},
		"and there is one":        {[]string{"migrate", "values.yaml", ""}, []string{":4"}},
		"a namespace is none":     {[]string{"explain", "-n", ""}, []string{":4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, append([]string{"__complete"}, row.args...)...)
			if got.code != exitOK {
				t.Errorf("code %d, %s", got.code, got.err)
			}
			wantText(t, "the completion", got.out, row.want...)
		})
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := call(t, "completion", shell); got.code != exitOK || !strings.Contains(got.out, "connaisseur") {
			t.Errorf("%s: code %d", shell, got.code)
		}
	}
}

func TestUsageErrorsHintAtTheHelp(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args []string
		want string
	}{
		"a command that there is not":   {[]string{"verfy"}, "Did you mean this?\n\tverify\nSee 'connaisseur --help'.\n"},
		"an option that there is not":   {[]string{"verify", "a", "--conf"}, "error: unknown flag: --conf\nSee 'connaisseur verify --help'.\n"},
		"no image":                      {[]string{"verify"}, "error: there is no image to look at\nSee 'connaisseur verify --help'.\n"},
		"an argument too many for lint": {[]string{"lint", "config/"}, `error: unexpected argument "config/"; the configuration is named with --config`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, row.args...)
			if got.code != exitError || got.out != "" {
				t.Errorf("code %d, %s", got.code, got.out)
			}
			wantText(t, "standard error", got.err, row.want)
		})
	}
}

// A command's examples and the README's commands must be commands.
func TestEveryCommandIsDocumented(t *testing.T) {
	t.Parallel()
	for _, cmd := range newCLI(environment{}).root().Commands() {
		if cmd.Short == "" || cmd.Long == "" || (cmd.Example == "" && cmd.Name() != "version") {
			t.Errorf("%s is not documented", cmd.Name())
		}
	}
	if got := call(t); got.code != exitOK || !strings.Contains(got.out, "Available Commands") {
		t.Errorf("code %d, %s", got.code, got.out)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	build := func() (*debug.BuildInfo, bool) {
		return &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.time", Value: "2026-01-31T12:00:00Z"}, {Key: "vcs.modified", Value: "true"},
		}}, true
	}
	got := callWith(t, environment{build: build}, "version")
	wantText(t, "the version", got.out, "connaisseur v1.2.3, commit abc with changes of 2026-01-31T12:00:00Z, go1")
	got = callWith(t, environment{build: build}, "version", "-o", "json")
	var info versionInfo
	if err := json.Unmarshal([]byte(got.out), &info); err != nil || info.Version != "v1.2.3" || !info.Modified {
		t.Errorf("%v, %s", err, got.out)
	}
	none := func() (*debug.BuildInfo, bool) { return nil, false }
	wantText(t, "the version", callWith(t, environment{build: none}, "version").out, "connaisseur unknown")
}

func TestAtStopsTheClock(t *testing.T) {
	t.Parallel()
	now := func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
	for text, want := range map[string]time.Time{
		"":                          now(),
		"2020-02-29":                time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC),
		"2020-02-29T12:00:00+01:00": time.Date(2020, 2, 29, 11, 0, 0, 0, time.UTC),
	} {
		var at instant
		if text != "" {
			if err := at.Set(text); err != nil {
				t.Fatal(err)
			}
		}
		if got := at.clock(now)(); !got.Equal(want) {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestWhatPanickedIsTold(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	v := &verify.ImageVerdict{Err: &validator.Error{Reason: validator.Internal, Err: errors.New("panic: at the disco")}}
	v.Image.Reference = "nginx"
	newCLI(environment{err: &out}).mention(v)
	if want := "error: nginx: panic: at the disco\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestAConfigMapThatStandsTwiceIsAnError(t *testing.T) {
	t.Parallel()
	cm := configMap(config.PolicyName, map[string]string{"policy": denyAll})
	got := call(t, "lint", "--config", writeConfigMaps(t, t.TempDir(), "a.yaml", cm, cm))
	if want := "error: the configuration cannot be read: ConfigMap config-policy is defined twice\n"; got.code != exitError || got.err != want {
		t.Errorf("code %d, %s", got.code, got.err)
	}
}
