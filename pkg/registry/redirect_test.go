package registry_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestRedirects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		to   func(reg, insecure, other *registrytest.Registry) string
		want validator.Reason
	}{
		{"to another insecure host is followed", func(_, insecure, _ *registrytest.Registry) string { return insecure.URL() }, ""},
		{"T34: to this machine is refused", func(_, _, other *registrytest.Registry) string { return other.URL() }, validator.RegistryUnavailable},
		{"T34: to a metadata service is refused", func(_, _, _ *registrytest.Registry) string { return "https://169.254.169.254" }, validator.RegistryUnavailable},
		{"to plain HTTP elsewhere is refused", func(_, _, _ *registrytest.Registry) string { return "http://192.0.2.1" }, validator.RegistryUnavailable},
		{"to a file is refused", func(_, _, _ *registrytest.Registry) string { return "file://etc" }, validator.RegistryUnavailable},
		{"in a circle ends", func(reg, _, _ *registrytest.Registry) string { return reg.URL() }, validator.RegistryUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			reg, insecure, other := registrytest.New(t, registrytest.Basic("alice", "s3cret-password")), registrytest.New(t), registrytest.New(t)
			img := reg.Push(t, "app:v1")
			reg.Sign(t, img, registrytest.Key(t))
			moved := insecure.Push(t, "app:v1")
			reg.Inject(registrytest.Fault{Kind: registrytest.ManifestHead, Answer: registrytest.Redirect(http.StatusTemporaryRedirect, c.to(reg, insecure, other))})
			d, err := clientFor(t, reg, insecure).As(alice, "a").Resolve(t.Context(), parse(t, img.String()))
			if c.want != "" {
				wantReason(t, err, c.want)
			} else if err != nil || string(d) != moved.Digest {
				t.Errorf("got %q, %v", d, err)
			}
			if n := reg.Requests()[registrytest.ManifestHead]; n > 6 {
				t.Errorf("%d redirects were followed", n-1)
			}
			for _, r := range append(insecure.Log(), other.Log()...) {
				if r.Authorization != "" { // T20
					t.Errorf("credentials reached another host: %q", r.Authorization)
				}
			}
		})
	}
}

// T20: credentials and tokens go nowhere but to the registry and its token
// service, whatever is redirected.
func TestT20CredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	for _, login := range []authn.AuthConfig{
		{Username: "alice", Password: "s3cret-password"}, {IdentityToken: "identity"}, {RegistryToken: "token"}, {Auth: "YWxpY2U6cw=="},
	} {
		for _, kind := range []registrytest.Kind{registrytest.Ping, registrytest.Token, registrytest.ManifestGet, registrytest.BlobGet} {
			for _, option := range []registrytest.Option{registrytest.Basic("alice", "s3cret-password"), registrytest.Bearer("alice", "s3cret-password")} {
				reg := registrytest.New(t, option)
				thief := registrytest.New(t)
				img := reg.Push(t, "app:v1")
				reg.Sign(t, img, registrytest.Key(t))
				var body sync.Map
				thief.Inject(registrytest.Fault{Answer: func(w http.ResponseWriter, r *http.Request) {
					if r.ParseForm() == nil && len(r.PostForm) > 0 {
						body.Store(r.PostForm.Encode(), true)
					}
					w.WriteHeader(http.StatusNotFound)
				}})
				reg.Inject(registrytest.Fault{Kind: kind, Answer: registrytest.Redirect(http.StatusTemporaryRedirect, thief.URL())})
				_, _ = clientFor(t, reg, thief).As(logins(login), "a").Signatures(t.Context(), parse(t, img.ByDigest()))
				for _, r := range thief.Log() {
					if r.Authorization != "" {
						t.Errorf("%s redirected: the other host got %q", kind, r.Authorization)
					}
				}
				body.Range(func(form, _ any) bool {
					t.Errorf("%s redirected: the other host got %s", kind, form)
					return true
				})
			}
		}
	}
}

// asked is a keychain that notes whose credentials were wanted.
type asked struct{ hosts sync.Map }

func (a *asked) Resolve(r authn.Resource) (authn.Authenticator, error) {
	a.hosts.Store(r.RegistryStr(), true)
	return authn.Anonymous, nil
}

func TestMirror(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/hub", "/a/b"} {
		reg := registrytest.New(t)
		img := reg.Push(t, strings.TrimPrefix(prefix+"/library/nginx:v1", "/"))
		reg.Sign(t, img, registrytest.Key(t))
		client := newClient(t, registry.Options{Hosts: []registry.Host{{Name: "docker.io", Mirror: reg.Host() + prefix, Insecure: true}}})
		keychain := &asked{}
		access := client.As(keychain, "k")
		d, err := access.Resolve(t.Context(), parse(t, "nginx:v1"))
		if err != nil || string(d) != img.Digest {
			t.Fatalf("got %q, %v", d, err)
		}
		if found, err := access.Signatures(t.Context(), parse(t, "nginx:v1").WithDigest(d)); err != nil || len(found) != 1 {
			t.Errorf("got %d, %v", len(found), err)
		}
		keychain.hosts.Range(func(host, _ any) bool {
			if host != reg.Host() { // T20
				t.Errorf("credentials of %s would have gone to the mirror", host)
			}
			return true
		})
	}
}
