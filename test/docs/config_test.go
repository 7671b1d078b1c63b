package docs

import (
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"knative.dev/pkg/configmap"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/workloadtest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

func shipped(t *testing.T) config.Objects {
	t.Helper()
	o, err := config.ReadFiles(filepath.Join(root, "config"))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// examples are the shipped ConfigMaps with what their _example documents.
func examples(t *testing.T) config.Objects {
	t.Helper()
	o := shipped(t)
	for _, name := range config.Names {
		cm := o.ConfigMaps[name].DeepCopy()
		var data map[string]string
		if err := yaml.UnmarshalStrict([]byte(cm.Data[configmap.ExampleKey]), &data); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		delete(cm.Data, configmap.ExampleKey) // what is shipped besides stays
		if cm.Data == nil {
			cm.Data = map[string]string{}
		}
		maps.Copy(cm.Data, data)
		o = o.With(cm)
	}
	return o
}

func build(o config.Objects) config.Built {
	return config.NewBuilder(cache.New(cache.Options{})).Build(o)
}

func TestShippedConfigurationDeniesAllButKubernetesOwnImages(t *testing.T) {
	t.Parallel()
	built := build(shipped(t))
	if err := built.Errors.Err(); err != nil {
		t.Fatal(err)
	}
	for reference, want := range map[string]string{
		"registry.k8s.io/pause:3.10":          "allow",
		"registry.k8s.io/coredns/coredns:v1":  "allow",
		"evil.example/registry.k8s.io/x:1":    "deny",
		"evilregistry.k8s.io/pause:3.10":      "deny",
		"nginx":                               "deny",
		"docker.io/registry.k8s.io/pause:3.1": "deny",
	} {
		ref, err := image.Parse(reference)
		if err != nil {
			t.Fatal(err)
		}
		match, ok := built.Snapshot.Policy.Match(ref, "default")
		if got := built.Snapshot.Rules[match.Index].ValidatorName; !ok || got != want {
			t.Errorf("%s: validator %q, want %q", reference, got, want)
		}
	}
}

// They are for whoever wants to refer to them, and are not said to be forgotten.
func TestShippedTrustRootsAreKeysThatNothingNeedsToUse(t *testing.T) {
	t.Parallel()
	o := shipped(t)
	entries := slices.DeleteFunc(slices.Sorted(maps.Keys(o.ConfigMaps[config.TrustRootsName].Data)), func(key string) bool { return key == configmap.ExampleKey })
	if diff := cmp.Diff(config.ShippedTrustRoots, entries); diff != "" {
		t.Error(diff)
	}
	for _, key := range entries {
		if keys, err := trust.ParseKeys([]byte(o.ConfigMaps[config.TrustRootsName].Data[key])); err != nil || len(keys) != 1 {
			t.Errorf("%s: %d keys, %v", key, len(keys), err)
		}
	}
	if warnings := build(o).Warnings; len(warnings) > 0 {
		t.Error(warnings)
	}
}

func TestShippedExamplesAreValid(t *testing.T) {
	t.Parallel()
	for _, e := range build(examples(t)).Errors {
		// The example refers to a certificate of the reader's own.
		if !e.Dangling || !strings.Contains(e.Message, "registry-ca.pem") {
			t.Error(e)
		}
	}
}

// What is proposed for custom resources is what the tests admit and deny.
func TestShippedWorkloadsAreTested(t *testing.T) {
	t.Parallel()
	parse := func(text string) (list []map[string]any) {
		if err := yaml.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		return list
	}
	proposed := parse(examples(t).ConfigMaps[config.WorkloadsName].Data["workloads"])
	if len(proposed) < 3 {
		t.Errorf("only %d kinds are proposed", len(proposed))
	}
	tested := parse(workloadtest.Workloads)
	if diff := cmp.Diff(proposed, tested[:len(proposed)]); diff != "" {
		t.Errorf("-proposed +tested:\n%s", diff)
	}
}

func TestShippedExamplesHaveTheirChecksums(t *testing.T) {
	t.Parallel()
	for name, cm := range shipped(t).ConfigMaps {
		example, ok := cm.Data[configmap.ExampleKey]
		if !ok {
			continue
		}
		if got, want := cm.Annotations[configmap.ExampleChecksumAnnotation], configmap.Checksum(example); got != want {
			t.Errorf("%s: the checksum of _example is %s, but noted is %s", name, want, got)
		}
	}
}

func TestDocumentedDefaultsAreTheDefaults(t *testing.T) {
	t.Parallel()
	built := build(examples(t).With(shipped(t).ConfigMaps[config.PolicyName]))
	if err := built.Errors.Err(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(feature.Default(), built.Snapshot.Features); diff != "" {
		t.Errorf("the example of config-features differs from the defaults (-default +example):\n%s", diff)
	}
	if diff := cmp.Diff(feature.Default(), build(shipped(t)).Snapshot.Features); diff != "" {
		t.Errorf("the shipped config-features differs from the defaults (-default +shipped):\n%s", diff)
	}
}

func TestEveryFeatureIsDocumented(t *testing.T) {
	t.Parallel()
	reference := read(t, "config/README.md")
	example := shipped(t).ConfigMaps[config.FeaturesName].Data[configmap.ExampleKey]
	for _, key := range keys("", reflect.TypeFor[feature.Settings]()) {
		if !strings.Contains(reference, "`"+key+"`") {
			t.Errorf("config/README.md does not explain %s", key)
		}
		if !strings.Contains(example, "\n"+key+":") {
			t.Errorf("the example of config-features lacks %s", key)
		}
	}
}

// keys lists the key paths of a settings struct.
func keys(prefix string, settings reflect.Type) []string {
	var found []string
	for _, field := range reflect.VisibleFields(settings) {
		key := prefix + field.Tag.Get(strict.Tag)
		if field.Type.Kind() == reflect.Struct {
			found = append(found, keys(key+".", field.Type)...)
			continue
		}
		found = append(found, key)
	}
	return found
}

// With fewer it does not work, and more are nobody's business.
func TestTheRightsInRedisAreDocumented(t *testing.T) {
	t.Parallel()
	if page := read(t, "config/shared-cache.md"); !strings.Contains(page, " "+shared.Rights+"\n") {
		t.Errorf("config/shared-cache.md does not give a user the rights %s", shared.Rights)
	}
}

func TestEveryTypeOfFindingsIsDocumented(t *testing.T) {
	t.Parallel()
	page := read(t, "config/findings.md")
	for _, kind := range finding.Types() {
		if !strings.Contains(page, "| `"+kind.Short()+"` |") {
			t.Errorf("config/findings.md does not explain %s", kind.Short())
		}
	}
	for _, outcome := range finding.Outcomes {
		if !strings.Contains(page, "`"+outcome+"`") {
			t.Errorf("config/findings.md does not name the outcome %s", outcome)
		}
	}
}
