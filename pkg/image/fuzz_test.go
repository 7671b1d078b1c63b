package image_test

import (
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// FuzzParse holds for whatever a tenant writes into an image field (T25, T32).
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "nginx", "nginx:1", "nginx@" + sha256a, "nginx:1@" + sha256a, "nginx@" + sha512a, "myorg/app",
		"GHCR.io/org/app", "ghcr.io:443/org/app:v1", "ghcr.io:0443/app", "index.docker.io/nginx", "registry-1.docker.io/nginx",
		"Docker.io:443/nginx", "localhost/app", "localhost:5000/a/b/c:v1@" + sha256b, "LOCALHOST/x", "MyOrg/app", "registry:443/app",
		"[::1]:5000/app", "[0:0::1]/app", "[::ffff:7f00:1]/x", "169.254.169.254/x", "evil.io/registry.k8s.io/pause:1",
		"https://ghcr.io/app", "a//b", "../../etc/passwd", "nginx:", "nginx@", ":", "@", "/", "a:b:c", "0_0.0/0", "ghcr.io./x", "\xff",
		strings.Repeat("a", 64), strings.Repeat("a.", 130) + "io/x", "registry-1.docker.io/" + strings.Repeat("a", 250),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := image.Parse(s)
		if err != nil {
			if !ref.IsZero() {
				t.Fatalf("Parse(%q) gave an error and %v", s, ref)
			}
			return
		}
		registry := ref.Registry()
		if registry != strings.ToLower(registry) {
			t.Errorf("the host %q has upper case", registry)
		}
		if strings.HasSuffix(registry, ":443") && strings.ContainsAny(strings.TrimSuffix(registry, ":443"), ".:") {
			t.Errorf("the host %q has the default port", registry)
		}
		if image.CanonicalHost(registry) != registry {
			t.Errorf("the host %q is not canonical", registry)
		}
		if strings.Contains(registry, "/") || ref.Repository() == "" {
			t.Errorf("Parse(%q): registry %q, repository %q", s, registry, ref.Repository())
		}
		if registry == image.DefaultRegistry && !strings.Contains(ref.Repository(), "/") {
			t.Errorf("%q of Docker Hub lacks library/", ref.Repository())
		}
		if ref.Tag() == "" && ref.Digest() == "" {
			t.Errorf("Parse(%q) has neither tag nor digest", s)
		}
		again, err := image.Parse(ref.String())
		if err != nil {
			t.Fatalf("the canonical form cannot be parsed: %v", err)
		}
		if diff := cmp.Diff(partsOf(ref), partsOf(again)); diff != "" || again.String() != ref.String() {
			t.Errorf("Parse(%q).String() = %q is not a fixed point:\n%s", s, ref.String(), diff)
		}
		checkPinned(t, ref)
		checkRuntime(t, s, ref)
	})
}

// checkPinned: a pinned reference is the same image, by that digest.
func checkPinned(t *testing.T, ref image.Reference) {
	pinned, err := image.Parse(ref.Pinned(sha256b))
	if err != nil {
		t.Fatalf("the pinned reference cannot be parsed: %v", err)
	}
	want := partsOf(ref)
	want.Digest = sha256b
	if diff := cmp.Diff(want, partsOf(pinned)); diff != "" {
		t.Errorf("Pinned changed the reference (-want +got):\n%s", diff)
	}
	if pinned.Pinned(sha256b) != ref.Pinned(sha256b) {
		t.Errorf("pinning twice gives %q", pinned.Pinned(sha256b))
	}
}

// checkRuntime: the runtime reads a host wherever Parse does, and the same
// repository in it.
func checkRuntime(t *testing.T, s string, ref image.Reference) {
	named, err := reference.ParseDockerRef(s) // as containerd does
	if err != nil {
		t.Fatalf("the runtime refuses %q: %v", s, err)
	}
	if image.CanonicalHost(reference.Domain(named)) != ref.Registry() ||
		strings.TrimPrefix(reference.Path(named), "library/") != strings.TrimPrefix(ref.Repository(), "library/") {
		t.Errorf("the runtime pulls %v for %q, not %v", named, s, ref)
	}
}
