package registry_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func parse(t *testing.T, s string) image.Reference {
	t.Helper()
	ref, err := image.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func newClient(t *testing.T, o registry.Options) *registry.Client {
	t.Helper()
	c, err := registry.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// clientFor is a client for which these registries are insecure.
func clientFor(t *testing.T, regs ...*registrytest.Registry) *registry.Client {
	t.Helper()
	var o registry.Options
	for _, reg := range regs {
		o.Hosts = append(o.Hosts, registry.Host{Name: reg.Host(), Insecure: true})
	}
	return newClient(t, o)
}

// wantReason checks an error's class, and that its message is fit for people.
func wantReason(t *testing.T, err error, want validator.Reason) {
	t.Helper()
	if err == nil {
		t.Fatalf("want %s, got no error", want)
	}
	if got := validator.AsError(err).Reason; got != want {
		t.Errorf("want %s, got %s: %v", want, got, err)
	}
	if text := err.Error(); len(text) > 600 || strings.ContainsAny(text, "\n\r") {
		t.Errorf("the message is too long or has line breaks: %q", text)
	}
}

// logins is a keychain with the same credentials for every registry, which is
// what real ones must not be.
type logins authn.AuthConfig

func (l logins) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig(l)), nil
}

var alice = logins{Username: "alice", Password: "s3cret-password"}

// within is a context with a deadline.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// tunnel is a proxy that takes every host to one registry.
func tunnel(t *testing.T, to *registrytest.Registry) func(*http.Request) (*url.URL, error) {
	t.Helper()
	return http.ProxyURL(to.Tunnel(t))
}
