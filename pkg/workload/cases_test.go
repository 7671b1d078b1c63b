package workload_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/workloadtest"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// kinds are the built-in ones and those of the cases.
func kinds(t testing.TB) workload.Kinds {
	t.Helper()
	var customs []workload.Custom
	if err := yaml.Unmarshal([]byte(workloadtest.Workloads), &customs); err != nil {
		t.Fatal(err)
	}
	kinds, errs := workload.Builtin().With("workloads", customs)
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	return kinds
}

func TestTheImagesOfEveryCaseAreFound(t *testing.T) {
	t.Parallel()
	kinds := kinds(t)
	met := map[string]bool{}
	for _, c := range workloadtest.Cases(t) {
		met[c.Kind().GroupKind().String()] = true
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			object := c.With(t, "example.org/app:v1", nil)
			raw, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			w, err := kinds.Extract(c.Kind(), raw)
			if err != nil {
				t.Fatal(err)
			}
			got := []workloadtest.Image{}
			for _, img := range w.Images {
				becomes := workloadtest.Pinned
				if w.Fixed() {
					becomes = workloadtest.Kept
				}
				if _, err := image.Parse(img.Reference); err != nil {
					becomes = workloadtest.Denied
				} else if img.Reference != "example.org/app:v1" {
					t.Errorf("%s is %s", img.Field, img.Reference)
				}
				got = append(got, workloadtest.Image{Field: img.Field, Pointer: img.Pointer, Becomes: becomes})
			}
			if diff := cmp.Diff(c.Images, got); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
	for gvk := range covered {
		if !met[gvk.GroupKind().String()] {
			t.Errorf("there is no case for %s", gvk)
		}
	}
}
