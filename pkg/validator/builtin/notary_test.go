package builtin_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

// secrets are the Secrets of our namespace.
type secrets map[string]map[string][]byte

func (s secrets) SecretEntries(name string) (map[string][]byte, error) {
	if entries, ok := s[name]; ok {
		return entries, nil
	}
	return nil, trust.ErrNotThere
}

// cloud is the keychain of a cloud that has a login for one host.
type cloud string

func (c cloud) Resolve(of authn.Resource) (authn.Authenticator, error) {
	if of.RegistryStr() == string(c) {
		return authn.FromConfig(authn.AuthConfig{Username: "me", Password: "secret"}), nil
	}
	return authn.Anonymous, nil
}

// attempt is a notary server that wants a login, and what a validator has.
type attempt struct {
	server   *registrytest.Registry
	repo     *notarytest.Repository
	settings map[string]any
	deps     builtin.Dependencies
}

func newAttempt(t *testing.T, name string, options ...registrytest.Option) *attempt {
	t.Helper()
	a := &attempt{server: registrytest.New(t, options...)}
	a.repo = notarytest.New(t, strings.ReplaceAll(name, "SERVER", a.server.Host()))
	a.repo.Sign("targets", "v1", "sha256:"+strings.Repeat("a", 64))
	a.server.ServeTrustData(a.repo.Name, a.repo.Publish(t))
	a.reach(t, registry.Options{Hosts: []registry.Host{{Name: a.server.Host(), Insecure: true}}})
	a.settings = map[string]any{"host": a.server.Host(), "trustRoots": []any{map[string]any{"name": "default", "key": string(a.repo.RootPEM())}}}
	return a
}

func (a *attempt) reach(t *testing.T, options registry.Options) {
	t.Helper()
	client, err := registry.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	a.deps.Registry = client
}

func (a *attempt) verify(t *testing.T) error {
	t.Helper()
	construct, _ := builtin.Lookup("notaryv1")
	configured, errs := construct("x", strict.Object{Path: "validators[0]", Fields: a.settings}, a.deps)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	bound, _, errs := configured.Bind(strict.Object{Path: "policy[0].with"})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	ref, err := image.Parse(a.repo.Name + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = bound.Validate(t.Context(), validator.Request{Image: ref})
	return err
}

func TestLoginsForNotaryServers(t *testing.T) {
	t.Parallel()
	docker := func(host string) map[string][]byte {
		return map[string][]byte{".dockerconfigjson": fmt.Appendf(nil, `{"auths":{%q:{"username":"me","password":"secret"}}}`, host)}
	}
	const wrong = `"https://index.docker.io/v1/":{"username":"me","password":"wrong"}`
	for name, c := range map[string]struct {
		repository string // SERVER stands for the notary server
		secret     map[string][]byte
		cloud      string
		want       bool
	}{
		"without any":                                      {"docker.io/team/app", nil, "", false},
		"for the server":                                   {"docker.io/team/app", docker("SERVER"), "", true},
		"for the image's registry":                         {"docker.io/team/app", docker("https://index.docker.io/v1/"), "", true},
		"for the image's repository":                       {"ghcr.io/team/app", docker("ghcr.io/team"), "", true},
		"for another repository":                           {"ghcr.io/team/app", docker("ghcr.io/other"), "", false},
		"for the server before the registry":               {"docker.io/team/app", map[string][]byte{".dockerconfigjson": []byte(`{"auths":{"SERVER":{"username":"me","password":"secret"},` + wrong + `}}`)}, "", true},
		"just a user and a password":                       {"docker.io/team/app", map[string][]byte{"username": []byte("me"), "password": []byte("secret")}, "", true},
		"Connaisseur's, without a registry":                {"docker.io/team/app", map[string][]byte{"secret.yaml": []byte("username: me\npassword: secret\n")}, "", true},
		"Connaisseur's, for another registry":              {"docker.io/team/app", map[string][]byte{"secret.yaml": []byte("registry: quay.io\nusername: me\npassword: secret\n")}, "", false},
		"a cloud's, where the registry is the server":      {"SERVER/team/app", nil, "SERVER", true},
		"a cloud's for the registry, which is not the one": {"ghcr.io/team/app", nil, "ghcr.io", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAttempt(t, c.repository, registrytest.Bearer("me", "secret"))
			auth := map[string]any{}
			if c.secret != nil {
				for key, value := range c.secret {
					c.secret[key] = []byte(strings.ReplaceAll(string(value), "SERVER", a.server.Host()))
				}
				a.deps.Secrets = secrets{"login": c.secret}
				auth["secretName"] = "login"
			}
			if c.cloud != "" {
				a.deps.Keychain = cloud(strings.ReplaceAll(c.cloud, "SERVER", a.server.Host()))
				auth["useKeychain"] = true
			}
			a.settings["auth"] = auth
			err := a.verify(t)
			if c.want {
				if err != nil {
					t.Errorf("got %v", err)
				}
				if got := a.server.Requests(); got[registrytest.Ping] != 1 || got[registrytest.Token] != 1 || got[registrytest.TrustDataGet] != 4 {
					t.Errorf("it cost %v", got)
				}
				return
			}
			if failure := validator.AsError(err); failure == nil || failure.Reason != validator.RegistryUnauthorized || !strings.Contains(failure.Message, "notary server "+a.server.Host()) {
				t.Errorf("got %v", err)
			}
			for _, request := range a.server.Log() {
				if request.Basic != "" {
					t.Errorf("the login of %q went to %s", request.Basic, request.Path)
				}
			}
		})
	}
}

// Azure's token service calls the token in another way; and some ask for a
// password with every request.
func TestOtherLoginsThatNotaryServersWant(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]registrytest.Option{
		"access_token": {registrytest.Bearer("me", "secret"), registrytest.AccessTokenOnly()},
		"basic":        {registrytest.Basic("me", "secret")},
	} {
		a := newAttempt(t, "example.azurecr.io/app", options...)
		a.deps.Secrets = secrets{"login": {"username": []byte("me"), "password": []byte("secret")}}
		a.settings["auth"], a.settings["isAcr"] = map[string]any{"secretName": "login"}, true
		if err := a.verify(t); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCertificatesOfNotaryServers(t *testing.T) {
	t.Parallel()
	a := newAttempt(t, "registry.example.com/app", registrytest.TLS())
	tunnel := a.server.Tunnel(t)
	a.settings["host"] = "notary.example.com"
	a.reach(t, registry.Options{Proxy: func(*http.Request) (*url.URL, error) { return tunnel, nil }})
	if failure := validator.AsError(a.verify(t)); failure == nil || failure.Reason != validator.RegistryUnavailable || !strings.Contains(failure.Message, "notary server notary.example.com has a certificate that is not trusted") {
		t.Errorf("without its authority: %v", failure)
	}
	a.settings["cert"] = string(a.server.CA())
	if err := a.verify(t); err != nil {
		t.Errorf("with its authority: %v", err)
	}
}
