package notation_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notation"
)

// scene is a registry with an image, an authority that is trusted, and one that is
// not.
type scene struct {
	*testing.T
	reg   *registrytest.Registry
	img   registrytest.Image
	ca    *notationtest.Authority
	other *notationtest.Authority
	state *notation.State
	// insecure are hosts beside the registry that may be on this machine.
	insecure []string
	limits   registry.Limits
}

func newScene(t *testing.T, options ...registrytest.Option) *scene {
	t.Helper()
	if options == nil {
		options = []registrytest.Option{registrytest.Referrers()}
	}
	reg := registrytest.New(t, options...)
	return &scene{
		T: t, reg: reg, img: reg.Push(t, "team/app:v1"), state: notation.NewState(),
		ca: notationtest.New(t, "Example CA"), other: notationtest.New(t, "Other CA"),
	}
}

type fields = map[string]any

// root is a trust root of the configuration.
func root(name, cert string, more ...fields) fields {
	r := fields{"name": name, "cert": cert}
	for _, f := range more {
		for key, value := range f {
			r[key] = value
		}
	}
	return r
}

// source has no trust material but what is written down.
type source struct{}

func (source) ConfigMapEntry(string, string) ([]byte, error)      { return nil, trust.ErrNotThere }
func (source) SecretEntry(string, string, string) ([]byte, error) { return nil, trust.ErrNotThere }
func (source) Remote(trust.Remote) ([]byte, error)                { return nil, trust.ErrUnavailable }

// configure reads a validator's settings.
func (s *scene) configure(settings fields) (*notation.Notation, strict.Errors) {
	s.Helper()
	hosts := []registry.Host{{Name: s.reg.Host(), Insecure: true}}
	for _, host := range s.insecure {
		hosts = append(hosts, registry.Host{Name: host, Insecure: true})
	}
	client, err := registry.New(registry.Options{Hosts: hosts, Limits: s.limits})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(client.Close)
	return notation.New(strict.Object{Path: "validators[0]", Fields: settings}, notation.Dependencies{
		Trust: source{},
		Open: func(strict.Object, registry.AccessConfig) (notation.Access, strict.Errors) {
			return func(context.Context, validator.Identity) (notation.Registry, error) { return client.As(nil, ""), nil }, nil
		},
		Revocation: client.Revocation(),
		State:      s.state,
	})
}

// bind makes a validator for a rule; settings are the validator's trust roots, or
// all of its settings.
func (s *scene) bind(settings any, with fields) validator.Validator {
	s.Helper()
	config, ok := settings.(fields)
	if !ok {
		config = fields{"trustRoots": settings}
	}
	v, errs := s.configure(config)
	if len(errs) > 0 {
		s.Fatal(errs)
	}
	bound, errs := v.Bind(strict.Object{Path: "policy[0].with", Fields: with})
	if len(errs) > 0 {
		s.Fatal(errs)
	}
	return bound
}

// usual are the trust roots of a validator that trusts the authority.
func (s *scene) usual(more ...fields) []any { return []any{root("default", s.ca.PEM(), more...)} }

// validate asks about the image, by its tag.
func (s *scene) validate(v validator.Validator) (validator.Result, *validator.Error) {
	s.Helper()
	return s.validateRef(v, s.img.String())
}

func (s *scene) validateRef(v validator.Validator, text string) (validator.Result, *validator.Error) {
	s.Helper()
	ref, err := image.Parse(text)
	if err != nil {
		s.Fatal(err)
	}
	result, err := v.Validate(s.Context(), validator.Request{Image: ref})
	return result, validator.AsError(err)
}

// trusts fails the test if the image is not trusted.
func (s *scene) trusts(v validator.Validator) validator.Result {
	s.Helper()
	result, failure := s.validate(v)
	switch {
	case failure != nil:
		s.Errorf("%s: %s", failure.Reason, failure.Message)
	case string(result.Digest) != s.img.Digest:
		s.Errorf("verified %q, not %s", result.Digest, s.img.Digest)
	}
	return result
}

// denies fails the test if the image is not denied for the reason, with these
// words.
func (s *scene) denies(v validator.Validator, reason validator.Reason, words ...string) {
	s.Helper()
	result, failure := s.validate(v)
	if failure == nil {
		s.Errorf("accepted, signed by %v; want %s", result.Signers, reason)
		return
	}
	if failure.Reason != reason {
		s.Errorf("got %s, want %s: %s", failure.Reason, reason, failure.Message)
	}
	for _, word := range words {
		if !strings.Contains(failure.Message, word) {
			s.Errorf("%q lacks %q", failure.Message, word)
		}
	}
}

// deniesWithin is denies for somebody who has no more time than that.
func (s *scene) deniesWithin(v validator.Validator, d time.Duration, reason validator.Reason) {
	s.Helper()
	ref, err := image.Parse(s.img.String())
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), d)
	defer cancel()
	if _, err := v.Validate(ctx, validator.Request{Image: ref}); validator.AsError(err) == nil || validator.AsError(err).Reason != reason {
		s.Errorf("got %v, want %s", err, reason)
	}
}
