package cosign_test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/cosign"
)

// secrets is a trust.Source with Secrets only, by name.
type secrets map[string]string

func (s secrets) ConfigMapEntry(name, key string) ([]byte, error) {
	return nil, fmt.Errorf("%s/%s %w", name, key, trust.ErrNotThere)
}

func (s secrets) SecretEntry(_, name, _ string) ([]byte, error) {
	if text, ok := s[name]; ok {
		return []byte(text), nil
	}
	return nil, fmt.Errorf("%s %w", name, trust.ErrNotThere)
}

func (secrets) Remote(trust.Remote) ([]byte, error) { return nil, trust.ErrUnavailable }

// root is a trust root of the configuration; several keys are several PEM
// blocks.
type root struct {
	name string
	key  string
}

func inline(t testing.TB, name string, keys ...crypto.Signer) root {
	t.Helper()
	var text strings.Builder
	for _, key := range keys {
		text.Write(registrytest.PublicPEM(t, key))
	}
	return root{name, text.String()}
}

func configure(roots []root, source trust.Source, access cosign.Registry) (*cosign.Cosign, strict.Errors) {
	var list []any
	for _, r := range roots {
		list = append(list, map[string]any{"name": r.name, "key": r.key})
	}
	open := func(strict.Object, registry.AccessConfig) (cosign.Access, strict.Errors) {
		return func(context.Context, validator.Identity) (cosign.Registry, error) { return access, nil }, nil
	}
	return cosign.New(strict.Object{Path: "validators[0]", Fields: map[string]any{"trustRoots": list}}, cosign.Dependencies{Trust: source, Open: open})
}

// with is a rule's settings, which always have to switch the transparency log
// off.
func with(pairs ...any) strict.Object {
	fields := map[string]any{"verifyInTransparencyLog": false}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields[pairs[i].(string)] = pairs[i+1]
	}
	return strict.Object{Path: "policy[0].with", Fields: fields}
}

func bind(t testing.TB, access cosign.Registry, settings strict.Object, roots ...root) validator.Validator {
	t.Helper()
	configured, errs := configure(roots, secrets{}, access)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	v, errs := configured.Bind(settings)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return v
}

func access(t testing.TB, reg *registrytest.Registry, limits registry.Limits) *registry.Access {
	t.Helper()
	client, err := registry.New(registry.Options{Limits: limits, Hosts: []registry.Host{{Name: reg.Host(), Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client.As(nil, "")
}

func parse(t testing.TB, s string) image.Reference {
	t.Helper()
	ref, err := image.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func request(t testing.TB, s string) validator.Request {
	t.Helper()
	return validator.Request{Image: parse(t, s)}
}

// wantDenied makes sure of the reason, and that nothing of a result escapes
// with an error.
func wantDenied(t testing.TB, got validator.Result, err error, want validator.Reason) {
	t.Helper()
	var classified *validator.Error
	if !errors.As(err, &classified) || classified.Reason != want {
		t.Errorf("want %s, got %v (%v)", want, err, got)
	}
	if got.Digest != "" || got.Allowed || got.TrustRoots != nil {
		t.Errorf("the error comes with a result: %+v", got)
	}
}
