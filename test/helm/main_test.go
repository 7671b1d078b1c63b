//go:build helm

package helm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const (
	root  = "../.."
	image = "registry.example.com/team/webhook:v1"
)

var (
	helm    string // the program
	release string // the folder that hack/release.sh has written
)

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "helm:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	dir, err := os.MkdirTemp("", "connaisseur-helm-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, value := range map[string]string{"HELM_CACHE_HOME": "cache", "HELM_CONFIG_HOME": "config", "HELM_DATA_HOME": "data"} {
		if err := os.Setenv(name, filepath.Join(dir, value)); err != nil {
			return 1, err
		}
	}
	path, err := command(root+"/hack/tools.sh", "helm")
	if err != nil {
		return 1, err
	}
	helm, release = strings.TrimSpace(path), filepath.Join(dir, "release")
	if err := writeRelease(release, image); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func writeRelease(dir, image string) error {
	_, err := command(root+"/hack/release.sh", "--image", image, "--version", "1.2.3", "-o", dir)
	return err
}

// command runs a program and gives what it prints.
func command(name string, args ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String(), nil
}

func chart() string { return filepath.Join(release, "connaisseur") }

// valuesFile writes a file of values.
func valuesFile(t *testing.T, values string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(name, []byte(values), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// render has helm render the chart for a namespace.
func render(t *testing.T, namespace, values string) (string, error) {
	t.Helper()
	return command(helm, "template", "connaisseur", chart(), "--namespace", namespace, "--values", valuesFile(t, values))
}

// objects are those of a stream of YAML, by kind and name.
type objects map[string]*unstructured.Unstructured

func parse(t *testing.T, text string) objects {
	t.Helper()
	found := objects{}
	documents := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		o := &unstructured.Unstructured{}
		err := documents.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(o.Object) == 0 {
			continue
		}
		key := o.GetKind() + " " + o.GetName()
		if found[key] != nil {
			t.Errorf("there are two of %s", key)
		}
		found[key] = o
	}
}

// rendered are the chart's objects.
func rendered(t *testing.T, namespace, values string) objects {
	t.Helper()
	text, err := render(t, namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

// shipped are the objects of config/, with the image.
func shipped(t *testing.T) objects {
	t.Helper()
	files, err := filepath.Glob(root + "/config/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString("---\n" + string(text))
	}
	return parse(t, strings.ReplaceAll(all.String(), "ko://github.com/sse-secure-systems/connaisseur/cmd/webhook", image))
}
