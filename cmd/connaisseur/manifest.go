package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// manifest is one object as a file or the standard input holds it.
type manifest struct {
	object    json.RawMessage
	kind      schema.GroupVersionKind
	name      string // or what it will start with
	namespace string // empty if the object does not say
	covered   bool   // the webhook looks at such objects
}

// recognize notes which of the objects the webhook looks at, and whether it can read
// them: better now than halfway through.
func recognize(manifests []*manifest, kinds workload.Kinds) error {
	for _, m := range manifests {
		if m.covered = kinds.Covers(m.kind.GroupKind()); !m.covered {
			continue
		}
		if _, err := kinds.Extract(m.kind, m.object); err != nil {
			return fmt.Errorf("%s %s: %w", m.kind.Kind, m.name, err)
		}
	}
	return nil
}

// readManifests reads the objects of files and folders, and of the standard
// input for "-", in their order. Lists are taken apart.
func readManifests(paths []string, stdin io.Reader) ([]*manifest, error) {
	var manifests []*manifest
	for _, path := range paths {
		texts, err := readTexts(path, stdin)
		if err != nil {
			return nil, fmt.Errorf("the manifests cannot be read: %w", err)
		}
		for _, t := range texts {
			err := config.EachDocument(t.content, func(document []byte) error {
				objects, err := parseManifests(document)
				manifests = append(manifests, objects...)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	if len(manifests) == 0 {
		return nil, fmt.Errorf("there is no object in %s", strings.Join(paths, ", "))
	}
	return manifests, nil
}

// text is a file's content.
type text struct {
	name    string
	content []byte
}

func readTexts(path string, stdin io.Reader) ([]text, error) {
	if path == "-" {
		content, err := io.ReadAll(stdin)
		return []text{{"standard input", content}}, err
	}
	names, err := config.YAMLFiles(path)
	if err != nil {
		return nil, err
	}
	texts := make([]text, len(names))
	for i, name := range names {
		texts[i].name = name
		if texts[i].content, err = os.ReadFile(name); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// parseManifests reads the object of a document, or the objects of a list. A
// key that stands twice is an error, since it is not clear which one counts.
func parseManifests(document []byte) ([]*manifest, error) {
	object, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	return flatten(object)
}

// head is the part of an object that is looked at here.
type head struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Items      *[]json.RawMessage `json:"items"`
	Metadata   struct {
		Name         string `json:"name"`
		GenerateName string `json:"generateName"`
		Namespace    string `json:"namespace"`
	} `json:"metadata"`
}

func flatten(object json.RawMessage) ([]*manifest, error) {
	var h head
	if err := kjson.UnmarshalCaseSensitivePreserveInts(object, &h); err != nil {
		return nil, fmt.Errorf("is no Kubernetes object: %w", err)
	}
	if h.APIVersion == "" || h.Kind == "" {
		return nil, errors.New("is no Kubernetes object: apiVersion or kind is missing")
	}
	if h.Items == nil || !strings.HasSuffix(h.Kind, "List") {
		m, err := newManifest(object, h)
		return []*manifest{m}, err
	}
	var manifests []*manifest
	for i, item := range *h.Items {
		objects, err := flatten(item)
		if err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
		manifests = append(manifests, objects...)
	}
	return manifests, nil
}

func newManifest(object json.RawMessage, h head) (*manifest, error) {
	gv, err := schema.ParseGroupVersion(h.APIVersion)
	if err != nil {
		return nil, fmt.Errorf("apiVersion: %w", err)
	}
	m := &manifest{object: object, kind: gv.WithKind(h.Kind), name: h.Metadata.Name, namespace: h.Metadata.Namespace}
	if m.name == "" {
		m.name = h.Metadata.GenerateName
	}
	return m, nil
}
