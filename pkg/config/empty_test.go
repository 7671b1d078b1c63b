package config

import (
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// A list that a template left empty must not make a rule one for every
// namespace (of the same kind as T17).
func TestEmptyNamespacesAreAnError(t *testing.T) {
	t.Parallel()
	for _, namespaces := range []string{"[]", "", "null"} {
		cm := named(PolicyName, map[string]string{
			"validators": "- {name: default, type: static, approve: true}",
			"policy":     "- pattern: nginx\n  namespaces: " + namespaces + "\n",
		})
		built := NewBuilder(cache.New(cache.Options{})).Build(Objects{Namespace: "connaisseur"}.With(cm))
		if err := built.Errors.Err(); err == nil || !strings.Contains(err.Error(), "config-policy: policy[0].namespaces: is empty") {
			t.Errorf("namespaces: %s: got %v", namespaces, err)
		}
	}
}

func TestAPolicyWithoutRulesIsWarnedOf(t *testing.T) {
	t.Parallel()
	for _, data := range []map[string]string{{"policy": ""}, {"policy": "[]"}} {
		built := NewBuilder(cache.New(cache.Options{})).Build(Objects{Namespace: "connaisseur"}.With(named(PolicyName, data)))
		if built.Snapshot == nil || !strings.Contains(built.Warnings.Error(), "every image is denied") {
			t.Errorf("%v: %v, %v", data, built.Errors, built.Warnings)
		}
	}
}

// An installation that is applied again must not take away what somebody set,
// so that what holds by default is not in the shipped ConfigMap.
func TestWithoutAPolicyAllButKubernetesOwnImagesIsDenied(t *testing.T) {
	t.Parallel()
	for _, data := range []map[string]string{nil, {"registries": "[]"}, {"_example": "policy: []"}} {
		built := NewBuilder(cache.New(cache.Options{})).Build(Objects{Namespace: "connaisseur"}.With(named(PolicyName, data)))
		if built.Snapshot == nil || len(built.Snapshot.Rules) != 2 {
			t.Fatalf("%v: %v", data, built.Errors)
		}
		for reference, want := range map[string]string{"nginx": "deny", "registry.k8s.io/pause:3.10": "allow", "evil.io/registry.k8s.io/pause:1": "deny"} {
			ref, err := image.Parse(reference)
			if err != nil {
				t.Fatal(err)
			}
			match, ok := built.Snapshot.Policy.Match(ref, "default")
			if got := built.Snapshot.Rules[match.Index].ValidatorName; !ok || got != want {
				t.Errorf("%v: %s: %q, want %q", data, reference, got, want)
			}
		}
	}
}
