// Command release writes what is installed without ko: release.yaml, and a Helm
// chart. Both are made from the manifests in config/, so that they cannot differ.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const (
	configDir   = "config"
	skeletonDir = "hack/chart"
	koImage     = "ko://github.com/sse-secure-systems/connaisseur/cmd/webhook"
)

func main() {
	image := flag.String("image", "", "reference of the webhook's image")
	version := flag.String("version", "0.0.0", "version of the chart")
	out := flag.String("o", "", "folder to write to")
	flag.Parse()
	if err := run(*image, *version, *out); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// A reference in full, in the parts that values.yaml has; a digest is a tag there.
var reference = regexp.MustCompile(`^([a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._-]+)+)(?::(\w[\w.-]*(?:@sha256:[0-9a-f]{64})?)|@(sha256:[0-9a-f]{64}))$`)

var semver = regexp.MustCompile(`^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

func run(image, version, out string) error {
	parts := reference.FindStringSubmatch(image)
	if parts == nil {
		return fmt.Errorf("%q is no reference with registry, repository and tag or digest", image)
	}
	if !semver.MatchString(version) {
		return fmt.Errorf("%q is no version such as 1.2.3", version)
	}
	names, err := filepath.Glob(filepath.Join(configDir, "*.yaml")) // in order
	if err != nil {
		return err
	}
	for name := range inChart {
		if !slices.Contains(names, filepath.Join(configDir, name)) {
			return fmt.Errorf("there is no %s any more", name)
		}
	}
	chart := filepath.Join(out, "connaisseur")
	if err := os.RemoveAll(chart); err != nil {
		return err
	}
	if err := os.CopyFS(chart, os.DirFS(skeletonDir)); err != nil {
		return err
	}
	if err := rewrite(filepath.Join(chart, "Chart.yaml"), edit{"version: 0.0.0\n", "version: " + version + "\n"}); err != nil {
		return err
	}
	err = rewrite(filepath.Join(chart, "values.yaml"),
		edit{`repository: ""`, fmt.Sprintf("repository: %q", parts[1])}, edit{`tag: ""`, fmt.Sprintf("tag: %q", parts[2]+parts[3])})
	if err != nil {
		return err
	}
	var release strings.Builder
	for _, name := range names {
		manifest, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		resolved := strings.ReplaceAll(string(manifest), koImage, image)
		if strings.Contains(resolved, "ko://") {
			return fmt.Errorf("%s: an image is not known", name)
		}
		release.WriteString("---\n" + resolved)
		if filepath.Base(name) == notInChart {
			continue
		}
		text, err := template(filepath.Base(name), string(manifest))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(chart, "templates", filepath.Base(name)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(out, "release.yaml"), []byte(release.String()), 0o644)
}

// rewrite edits a file.
func rewrite(name string, edits ...edit) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	edited, err := apply(name, string(text), edits)
	if err != nil {
		return err
	}
	return os.WriteFile(name, []byte(edited), 0o644)
}
