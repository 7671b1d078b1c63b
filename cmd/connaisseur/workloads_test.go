package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/workloadtest"
)

// admitCase has the command line admit an object.
func admitCase(t *testing.T, l *lab, object any) answer {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return callWith(t, environment{in: strings.NewReader(string(text))}, "admit", "--config", l.config, "-f", "-")
}

// newLabOfKinds is a lab whose configuration covers the kinds of the cases.
func newLabOfKinds(t *testing.T) *lab {
	t.Helper()
	l := newLab(t)
	text, err := os.ReadFile(l.config)
	if err != nil {
		t.Fatal(err)
	}
	more := writeConfigMaps(t, t.TempDir(), "workloads.yaml", configMap(config.WorkloadsName, map[string]string{"workloads": workloadtest.Workloads}))
	l.config = filepath.Dir(more)
	writeFile(t, l.config, "all.yaml", string(text))
	return l
}

func TestAdmitKnowsEveryKind(t *testing.T) {
	t.Parallel()
	l := newLabOfKinds(t)
	for _, c := range workloadtest.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			signed := c.With(t, l.signed.String(), nil)
			got := admitCase(t, l, signed)
			if !c.Valid() {
				if got.code != exitDenied || got.out != "" {
					t.Errorf("code %d\n%s", got.code, got.out)
				}
				wantText(t, "standard error", got.err, c.Images[0].Field+" ", "InvalidReference")
				return
			}
			if got.code != exitOK {
				t.Fatalf("code %d\n%s", got.code, got.err)
			}
			want := map[string]string{}
			for _, img := range c.Images {
				if img.Becomes == workloadtest.Pinned {
					want[img.Field] = l.signed.Pinned()
				}
			}
			if diff := cmp.Diff(c.With(t, l.signed.String(), want).Object, decode[map[string]any](t, got.out)); diff != "" {
				t.Errorf("what is stored (-want +got):\n%s", diff)
			}
			for _, img := range c.Images {
				got := admitCase(t, l, c.With(t, l.signed.String(), map[string]string{img.Field: l.unsigned.String()}))
				if got.code != exitDenied || got.out != "" {
					t.Errorf("%s: code %d\n%s", img.Field, got.code, got.out)
				}
				wantText(t, "standard error", got.err, img.Field+" "+l.unsigned.String()+": ", "NoSignature")
			}
			if got := admitCase(t, l, c.With(t, l.signed.ByDigest(), nil)); got.code != exitOK {
				t.Errorf("by digest, as Knative has it: code %d\n%s", got.code, got.err)
			}
		})
	}
}

func TestAdmitAnswersAsTheWebhookDoes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	asked := 0
	for _, r := range workloadtest.Requests(t, l.signed, l.unsigned) {
		if !r.Plain() {
			continue
		}
		asked++
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			got := admitCase(t, l, r.Object)
			if len(r.Denied) > 0 {
				if got.code != exitDenied || got.out != "" {
					t.Errorf("code %d\n%s", got.code, got.out)
				}
				wantText(t, "standard error", got.err, r.Denied...)
				return
			}
			if got.code != exitOK {
				t.Fatalf("code %d\n%s", got.code, got.err)
			}
			want, err := yaml.Marshal(r.Stored(t))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode[map[string]any](t, string(want)), decode[map[string]any](t, got.out)); diff != "" {
				t.Errorf("what is stored (-want +got):\n%s", diff)
			}
		})
	}
	if asked < 10 {
		t.Errorf("only %d of the requests were asked", asked)
	}
}

func TestAdmitPassesThroughWhatIsNotListed(t *testing.T) {
	t.Parallel()
	l := newLab(t) // without config-workloads
	for _, c := range workloadtest.Cases(t) {
		if c.Kind().Kind != "Rollout" {
			continue
		}
		if got := admitCase(t, l, c.With(t, l.unsigned.String(), nil)); got.code != exitOK || got.err != "" {
			t.Errorf("%s: code %d\n%s", c.Name, got.code, got.err)
		}
	}
}

// The paths are known to be right for one version.
func TestAdmitRefusesAnotherVersionOfAListedKind(t *testing.T) {
	t.Parallel()
	l := newLabOfKinds(t)
	got := admitCase(t, l, map[string]any{"apiVersion": "tekton.dev/v1beta1", "kind": "Task", "metadata": map[string]any{"name": "build"}})
	if got.code != exitError {
		t.Errorf("code %d\n%s", got.code, got.out)
	}
	wantText(t, "standard error", got.err, "Task build: objects of kind Task.tekton.dev are covered in version v1 only")
}
