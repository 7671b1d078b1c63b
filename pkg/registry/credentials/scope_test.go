package credentials_test

import "testing"

// T20, T32: a login goes to the registry and path that it is for, in whatever
// spelling, and nowhere else.
func TestT20LoginsGoWhereTheyAreFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, key, repository, user string }{
		{"a host", "ghcr.io", "ghcr.io/org/app", "u"},
		{"another host gets nothing", "ghcr.io", "quay.io/org/app", ""},
		{"a subdomain gets nothing", "ghcr.io", "evil.ghcr.io/org/app", ""},
		{"a host that ends alike gets nothing", "ghcr.io", "evilghcr.io/org/app", ""},
		{"a host that begins alike gets nothing", "ghcr.io", "ghcr.io.evil.com/org/app", ""},
		{"a repository that looks like the host gets nothing", "ghcr.io", "evil.com/ghcr.io/app", ""},
		{"another port gets nothing", "ghcr.io", "ghcr.io:8443/org/app", ""},
		{"a port is that port", "registry.example.com:5000", "registry.example.com:5000/app", "u"},
		{"no port is not another", "registry.example.com:5000", "registry.example.com/app", ""},
		{"T32: upper case", "GHCR.io", "ghcr.io/org/app", "u"},
		{"T32: the default port in the key", "ghcr.io:443", "ghcr.io/org/app", "u"},
		{"T32: the default port in the image", "ghcr.io", "ghcr.io:443/org/app", "u"},
		{"a URL", "https://ghcr.io", "ghcr.io/org/app", "u"},
		{"a URL with a slash", "https://ghcr.io/", "ghcr.io/org/app", "u"},
		{"a URL with a version", "https://ghcr.io/v2/", "ghcr.io/org/app", "u"},
		{"Docker Hub as docker login writes it", "https://index.docker.io/v1/", "docker.io/library/nginx", "u"},
		{"T32: Docker Hub as docker.io", "docker.io", "index.docker.io/library/nginx", "u"},
		{"T32: Docker Hub as registry-1", "registry-1.docker.io", "nginx", "u"},
		{"Docker Hub's notary is another host", "docker.io", "notary.docker.io/app", ""},
		{"a path", "ghcr.io/org", "ghcr.io/org/app", "u"},
		{"a path that is the repository", "ghcr.io/org/app", "ghcr.io/org/app", "u"},
		{"a path with a slash at its end", "https://ghcr.io/org/", "ghcr.io/org/app", "u"},
		{"a path ends at a component", "ghcr.io/org", "ghcr.io/organisation/app", ""},
		{"a path begins at the beginning", "ghcr.io/org", "ghcr.io/other/org/app", ""},
		{"a path is not for what is above it", "ghcr.io/org/app", "ghcr.io/org/other", ""},
		{"a path on Docker Hub", "docker.io/myorg", "docker.io/myorg/app", "u"},
		{"a path whose name begins with v1", "ghcr.io/v1beta", "ghcr.io/v1beta/app", "u"},
		{"a glob is for one label", "*.example.com", "registry.example.com/app", "u"},
		{"a glob is not for two labels", "*.example.com", "a.b.example.com/app", ""},
		{"a glob is not for none", "*.example.com", "example.com/app", ""},
		{"a glob does not reach further", "*.example.com", "registry.example.com.evil.io/app", ""},
		{"a glob is for no port", "registry.example.*", "registry.example.com:5000/app", ""},
		{"a glob with a port", "*.example.com:5000", "registry.example.com:5000/app", "u"},
		{"an IPv6 address", "[2001:db8::1]:5000", "[2001:db8::1]:5000/app", "u"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := login(t, docker(c.key, basic("u")), c.repository)
			if err != nil || got.Username != c.user || got.Password != c.user {
				t.Errorf("got %q, %v", got.Username, err)
			}
		})
	}
}

func TestTheLongestMatchWins(t *testing.T) {
	t.Parallel()
	set := docker("ghcr.io", basic("host"), "ghcr.io/org", basic("org"), "ghcr.io/org/app", basic("app"),
		"*.io", basic("glob"), "*.io/glob", basic("globpath"))
	for repository, want := range map[string]string{
		"ghcr.io/x": "host", "ghcr.io/org/x": "org", "ghcr.io/org/app": "app", "ghcr.io/org/app/sub": "app",
		"ghcr.io/org/apps": "org", "quay.io/x": "glob", "ghcr.io/glob/x": "globpath", "quay.com/x": "",
	} {
		if got, err := login(t, set, repository); err != nil || got.Username != want {
			t.Errorf("%s: got %q, %v", repository, got.Username, err)
		}
	}
}
