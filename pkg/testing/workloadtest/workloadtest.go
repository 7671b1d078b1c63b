// Package workloadtest has objects of every kind that runs images, and what is to
// become of them: cases for tests of extraction, of the command line and of a real
// API server.
package workloadtest

import (
	"embed"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// Workloads is what the entry workloads of config-workloads holds for the custom
// kinds.
//
//go:embed workloads.yaml
var Workloads string

//go:embed cases
var files embed.FS

// placeholder stands in an object where an image is to be put.
const placeholder = "IMAGE"

// What becomes of an image that is signed.
const (
	// Pinned: its digest is put into the field.
	Pinned = "pinned"
	// Kept: the field stays as it is.
	Kept = "kept"
	// Denied: the field holds something else, for which the object is denied.
	Denied = "denied"
)

// Image is an image field.
type Image struct {
	Field, Pointer string
	Becomes        string
}

// Case is an object and what is to become of its images.
type Case struct {
	Name   string
	Object map[string]any
	// Subresource is the field of the spec that can be set by the subresource of that
	// name only, which is in lower case; empty if there is none.
	Subresource string
	// Images are in the order in which they are found.
	Images []Image
}

// Cases reads all of them.
func Cases(t testing.TB) []Case {
	t.Helper()
	var all []Case
	for _, name := range []string{"core", "knative", "custom"} {
		text, err := files.ReadFile("cases/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		var cases []Case
		if err := yaml.UnmarshalStrict(text, &cases); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, cases...)
	}
	return all
}

// Kind is the kind of the object.
func (c Case) Kind() schema.GroupVersionKind {
	return (&unstructured.Unstructured{Object: c.Object}).GroupVersionKind()
}

// Valid tells whether the object is admitted if its images are.
func (c Case) Valid() bool {
	for _, img := range c.Images {
		if img.Becomes == Denied {
			return false
		}
	}
	return true
}

// With is the object with a reference in each of its image fields. In those named
// in others it is another.
func (c Case) With(t testing.TB, reference string, others map[string]string) *unstructured.Unstructured {
	t.Helper()
	raw, err := json.Marshal(c.Object)
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(strings.ReplaceAll(string(raw), placeholder, reference)), &object.Object); err != nil {
		t.Fatal(err)
	}
	object.SetGenerateName("case-")
	for _, img := range c.Images {
		if other, ok := others[img.Field]; ok {
			if err := set(object.Object, tokens(img.Pointer), other); err != nil {
				t.Fatalf("%s: %v", img.Pointer, err)
			}
		}
	}
	return object
}

// At is what stands at an image's pointer.
func (i Image) At(object map[string]any) (any, error) { return get(object, tokens(i.Pointer)) }

// tokens are the parts of an RFC 6901 JSON pointer.
func tokens(pointer string) []string {
	parts := strings.Split(pointer, "/")[1:]
	for i := range parts {
		parts[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(parts[i])
	}
	return parts
}

func get(value any, path []string) (any, error) {
	for _, token := range path {
		switch v := value.(type) {
		case map[string]any:
			value = v[token]
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(v) {
				return nil, fmt.Errorf("there is no item %s", token)
			}
			value = v[i]
		default:
			return nil, fmt.Errorf("there is nothing at %s", token)
		}
	}
	return value, nil
}

func set(object any, path []string, to any) error {
	last := len(path) - 1
	parent, err := get(object, path[:last])
	if err != nil {
		return err
	}
	switch parent := parent.(type) {
	case map[string]any:
		parent[path[last]] = to
		return nil
	case []any:
		i, err := strconv.Atoi(path[last])
		if err == nil && i < len(parent) {
			parent[i] = to
			return nil
		}
	}
	return fmt.Errorf("there is nothing at %s", path[last])
}
