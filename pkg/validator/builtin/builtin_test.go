package builtin_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

func TestEveryTypeThatIsListedIsFoundAndRefusesAnEmptyConfiguration(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"cosign", "notaryv1", "notation", "static"}, builtin.Types()); diff != "" {
		t.Error(diff)
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range builtin.Types() {
		construct, ok := builtin.Lookup(name)
		if !ok {
			t.Fatalf("%s is not found", name)
		}
		if _, errs := construct("x", strict.Object{Path: "validators[0]"}, builtin.Dependencies{Registry: client}); len(errs) == 0 {
			t.Errorf("%s accepts an empty configuration", name)
		}
	}
	for _, name := range []string{"", "Cosign", "notary"} {
		if _, ok := builtin.Lookup(name); ok {
			t.Errorf("%q is a type", name)
		}
	}
}

// A rule with a static validator resolves tags too: T31 needs that.
func TestT31EveryTypeComesWithAResolver(t *testing.T) {
	t.Parallel()
	reg, key := registrytest.New(t), registrytest.Key(t)
	img := reg.Push(t, "app:v1")
	client, err := registry.New(registry.Options{Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	ref, err := image.Parse(img.String())
	if err != nil {
		t.Fatal(err)
	}
	for name, fields := range map[string]map[string]any{
		"static": {"approve": true},
		"cosign": {"trustRoots": []any{map[string]any{"name": "default", "key": string(registrytest.PublicPEM(t, key))}}},
	} {
		construct, _ := builtin.Lookup(name)
		configured, errs := construct("x", strict.Object{Fields: fields}, builtin.Dependencies{Registry: client})
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		with := strict.Object{}
		if name == "cosign" {
			with.Fields = map[string]any{"verifyInTransparencyLog": false}
		}
		_, resolver, errs := configured.Bind(with)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		got, err := resolver.Resolve(t.Context(), validator.Request{Image: ref})
		if err != nil || got != image.Digest(img.Digest) {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}
