package credentials_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestFormats(t *testing.T) {
	t.Parallel()
	user := authn.AuthConfig{Username: "user", Password: "s3cret"}
	for _, c := range []struct {
		name, entry, text string
		more              map[string]string
		want              authn.AuthConfig
	}{
		{name: "Docker's auth", entry: ".dockerconfigjson", text: `{"auths": {"ghcr.io": {"auth": "dXNlcjpzM2NyZXQ="}}}`, want: user},
		{name: "Docker's auth, filled up with zeros", entry: ".dockerconfigjson", text: `{"auths": {"ghcr.io": {"auth": "dXNlcjpzM2NyZXQAAAA="}}}`, want: user},
		{name: "Docker's username and password", entry: ".dockerconfigjson", text: `{"auths": {"ghcr.io": {"username": "user", "password": "s3cret", "email": "x"}}}`, want: user},
		{name: "Docker's identity token", entry: ".dockerconfigjson", text: `{"auths": {"ghcr.io": {"auth": "MDAwMDo=", "identitytoken": "abc"}}}`, want: authn.AuthConfig{IdentityToken: "abc"}},
		{name: "an identity token as a helper gives it", entry: ".dockerconfigjson", text: `{"auths": {"ghcr.io": {"username": "<token>", "password": "abc"}}}`, want: authn.AuthConfig{IdentityToken: "abc"}},
		{name: "Docker's registry token", entry: ".dockerconfigjson", text: `{"auths": {"ghcr.io": {"registrytoken": "abc"}}}`, want: authn.AuthConfig{RegistryToken: "abc"}},
		{name: "a password with colons", entry: ".dockerconfigjson", text: `{"auths": {"ghcr.io": {"auth": "dXNlcjphOmI="}}}`, want: authn.AuthConfig{Username: "user", Password: "a:b"}},
		{name: "Docker's legacy configuration", entry: ".dockercfg", text: `{"ghcr.io": {"auth": "dXNlcjpzM2NyZXQ="}}`, want: user},
		{name: "Connaisseur's secret.yaml", entry: "secret.yaml", text: "username: user\npassword: s3cret\nregistry: ghcr.io\n", want: user},
		{name: "basic-auth with a registry", entry: "password", text: "s3cret\n", more: map[string]string{"username": "user", "registry": "https://ghcr.io"}, want: user},
		{name: "two formats at once", entry: ".dockerconfigjson", text: `{"auths": {"quay.io": {"auth": "eDp5"}}}`,
			more: map[string]string{"secret.yaml": "username: user\npassword: s3cret\nregistry: ghcr.io\n"}, want: user},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			entries := map[string][]byte{c.entry: []byte(c.text)}
			for key, value := range c.more {
				entries[key] = []byte(value)
			}
			got, err := login(t, credentials.FromSecret("Secret connaisseur/x", entries), "ghcr.io/org/app")
			if err != nil {
				t.Fatal(err)
			}
			got.Auth = ""
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What cannot be read is never taken for anonymous access, and what is in it is
// never repeated.
func TestWhatCannotBeReadIsSaid(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, entry, text, says string
	}{
		{"no entry that is known", "terces.yaml", "username: user\npassword: s3cret\n", "has no entry .dockerconfigjson or"},
		{"no JSON", ".dockerconfigjson", `{"auths": s3cret}`, "no Docker configuration"},
		{"no auths", ".dockerconfigjson", `{"ghcr.io": {"auth": "dXNlcjpzM2NyZXQ="}}`, "no Docker configuration"},
		{"an auth that is no base64", ".dockerconfigjson", `{"auths": {"ghcr.io": {"auth": "s3cret!"}}}`, "must be base64"},
		{"an auth without a colon", ".dockerconfigjson", `{"auths": {"ghcr.io": {"auth": "czNjcmV0"}}}`, "must be base64"},
		{"an auth of another type", ".dockerconfigjson", `{"auths": {"ghcr.io": {"auth": ["s3cret"]}}}`, "must be base64"},
		{"a login that a helper of Docker keeps", ".dockerconfigjson", `{"auths": {"ghcr.io": {}}}`, "has no user or no password"},
		{"a user without a password", ".dockerconfigjson", `{"auths": {"ghcr.io": {"username": "s3cret"}}}`, "has no user or no password"},
		{"a token with a line break", ".dockerconfigjson", `{"auths": {"ghcr.io": {"registrytoken": "s3cret\r\nX-Evil: 1"}}}`, "white space"},
		{"a key that is no host", ".dockerconfigjson", `{"auths": {"[[]]\\": {"auth": "dXNlcjpzM2NyZXQ="}}}`, "does not name a registry"},
		{"a key with a user", ".dockerconfigjson", `{"auths": {"https://user@ghcr.io": {"auth": "dXNlcjpzM2NyZXQ="}}}`, "does not name a registry"},
		{"a key with another scheme", ".dockerconfigjson", `{"auths": {"ftp://ghcr.io": {"auth": "dXNlcjpzM2NyZXQ="}}}`, "does not name a registry"},
		{"a secret.yaml with lists", "secret.yaml", "username: []\npassword: {}\n", "no mapping of registry, username and password"},
		{"a secret.yaml without a registry", "secret.yaml", "username: user\npassword: s3cret\n", "no registry is named"},
		{"basic-auth, which names no host", "password", "s3cret", "no registry is named"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := login(t, credentials.FromSecret("Secret connaisseur/x", map[string][]byte{c.entry: []byte(c.text), "username": []byte("user")}), "ghcr.io/org/app")
			if err == nil {
				t.Fatal("there is no error")
			}
			if got := validator.AsError(err); got.Reason != validator.RegistryUnauthorized || !strings.Contains(got.Message, c.says) || !strings.Contains(got.Message, "Secret connaisseur/x") {
				t.Errorf("got %s: %v", got.Reason, err)
			}
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("it repeats what is in the Secret: %v", err)
			}
		})
	}
}

func TestOneMalformedLoginLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	set := docker("ghcr.io", basic("good"), "ghcr.io/bad", `{"auth": "!"}`, "quay.io", `"nonsense"`)
	if got, err := login(t, set, "ghcr.io/org/app"); err != nil || got.Username != "good" {
		t.Errorf("got %q, %v", got.Username, err)
	}
	for _, repository := range []string{"ghcr.io/bad/app", "quay.io/app"} {
		if _, err := login(t, set, repository); err == nil {
			t.Errorf("%s: there is no error", repository)
		}
	}
	if got, err := login(t, set, "docker.io/library/nginx"); err != nil || got != (authn.AuthConfig{}) {
		t.Errorf("what nobody has a login for is not anonymous: %v, %v", got, err)
	}
	if got, err := login(t, set.Readable(), "ghcr.io/bad/app"); err != nil || got.Username != "good" {
		t.Errorf("without what cannot be read: got %q, %v", got.Username, err)
	}
}

// A key that is no host might have been meant for any.
func TestAKeyThatIsNoHostConcernsWhatNoOtherIsFor(t *testing.T) {
	t.Parallel()
	set := docker("ghcr.io", basic("good"), "gh cr.io", basic("bad"))
	if got, err := login(t, set, "ghcr.io/org/app"); err != nil || got.Username != "good" {
		t.Errorf("got %q, %v", got.Username, err)
	}
	if _, err := login(t, set, "quay.io/app"); err == nil {
		t.Error("there is no error")
	}
}

func TestAPullSecretHasOnlyKubernetesFormats(t *testing.T) {
	t.Parallel()
	entries := map[string][]byte{"secret.yaml": []byte("username: user\npassword: s3cret\nregistry: ghcr.io\n")}
	if _, err := login(t, credentials.FromPullSecret("Secret prod/x", entries), "ghcr.io/app"); err == nil {
		t.Error("Connaisseur's own format is read")
	}
	if got, err := login(t, credentials.FromPullSecret("Secret prod/x", entries).Readable(), "ghcr.io/app"); err != nil || got != (authn.AuthConfig{}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// T35: sets are told apart by their content.
func TestT35ASetIsIdentifiedByItsContent(t *testing.T) {
	t.Parallel()
	a, b := docker("ghcr.io", basic("a")), docker("ghcr.io", basic("b"))
	seen := map[string]string{}
	for name, set := range map[string]credentials.Set{
		"none": {}, "a": a, "b": b, "a and b": credentials.Join(a, b), "b and a": credentials.Join(b, a),
		"missing": credentials.Missing("Secret connaisseur/x", "it does not exist"),
		"broken":  docker("ghcr.io", `"x"`),
	} {
		if other, ok := seen[set.ID()]; ok {
			t.Errorf("%s looks like %s", name, other)
		}
		seen[set.ID()] = name
	}
	if a.ID() != docker("ghcr.io", basic("a")).ID() {
		t.Error("the same content is identified in two ways")
	}
}

func TestTheFirstOfTwoSetsWins(t *testing.T) {
	t.Parallel()
	set := credentials.Join(docker("ghcr.io", basic("a")), docker("ghcr.io", basic("b"), "quay.io", basic("c")))
	for repository, want := range map[string]string{"ghcr.io/x": "a", "quay.io/x": "c"} {
		if got, err := login(t, set, repository); err != nil || got.Username != want {
			t.Errorf("%s: got %q, %v", repository, got.Username, err)
		}
	}
}
