package config

import (
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
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
	for _, data := range []map[string]string{nil, {"policy": ""}, {"policy": "[]"}} {
		built := NewBuilder(cache.New(cache.Options{})).Build(Objects{Namespace: "connaisseur"}.With(named(PolicyName, data)))
		if built.Snapshot == nil || !strings.Contains(built.Warnings.Error(), "every image is denied") {
			t.Errorf("%v: %v, %v", data, built.Errors, built.Warnings)
		}
	}
}
