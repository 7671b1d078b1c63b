package credentials_test

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
)

// basic is the auth of a Docker configuration for a user whose password is the
// same.
func basic(user string) string {
	return fmt.Sprintf(`{"auth": %q}`, base64.StdEncoding.EncodeToString([]byte(user+":"+user)))
}

// docker is a Secret with a Docker configuration; keys and their auths take
// turns.
func docker(pairs ...string) credentials.Set {
	return credentials.FromSecret("Secret connaisseur/x", map[string][]byte{".dockerconfigjson": []byte(dockerConfig(pairs...))})
}

func dockerConfig(pairs ...string) string {
	text := `{"auths": {`
	for i := 0; i+1 < len(pairs); i += 2 {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%q: %s", pairs[i], pairs[i+1])
	}
	return text + `}, "credsStore": "desktop", "credHelpers": {"ghcr.io": "evil"}}`
}

// login asks a set about a repository.
func login(t *testing.T, set credentials.Set, repository string) (authn.AuthConfig, error) {
	t.Helper()
	of, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	found, err := set.Resolve(of)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	config, err := found.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return *config, nil
}
