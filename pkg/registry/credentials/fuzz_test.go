package credentials_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
)

// Tenants write pull secrets. Whatever they hold, reading them does not panic,
// and a login goes to hosts that its key names and to no other.
func FuzzPullSecret(f *testing.F) {
	for _, key := range []string{"ghcr.io", "https://index.docker.io/v1/", "*.example.com:5000/org", "[::1]:5000", "[[]]\\", "a/../b", ""} {
		f.Add(dockerConfig(key, basic("u")))
	}
	f.Add(`{"auths": null}`)
	f.Add(`{"auths": {"ghcr.io": {"auth": "\u0000"}}}`)
	var places []name.Repository
	for _, s := range []string{"ghcr.io/org/app", "nginx", "registry.example.com:5000/org/app", "evil.io/x"} {
		place, err := name.NewRepository(s)
		if err != nil {
			f.Fatal(err)
		}
		places = append(places, place)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set := credentials.FromPullSecret("Secret prod/x", map[string][]byte{".dockerconfigjson": []byte(text)}).Readable()
		lower := strings.ToLower(text)
		for _, place := range places {
			found, err := set.Resolve(place)
			if err != nil {
				t.Fatalf("what is readable cannot be read: %v", err)
			}
			config, err := found.Authorization()
			if err != nil {
				t.Fatal(err)
			}
			if config.Username+config.Password+config.IdentityToken+config.RegistryToken == "" || strings.ContainsAny(lower, `*?\`) {
				continue // globs, and JSON's escapes
			}
			host, _, _ := strings.Cut(image.CanonicalHost(place.RegistryStr()), ":")
			if !strings.Contains(lower, host) && (host != image.DefaultRegistry || !strings.Contains(lower, "docker.com")) {
				t.Errorf("%s gets a login that nobody has put there", host)
			}
		}
	})
}
