package image_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

const (
	sha256a = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sha256b = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var sha512a = "sha512:" + strings.Repeat("a", 128)

// parts is a reference taken apart.
type parts struct{ Registry, Repository, Tag, Digest string }

func partsOf(r image.Reference) parts {
	return parts{r.Registry(), r.Repository(), r.Tag(), string(r.Digest())}
}

// TestParse covers DESIGN §3 and row T32 of THREATS.md: every spelling of a
// name has one canonical form.
func TestParse(t *testing.T) {
	t.Parallel()
	hub := func(repository, tag, digest string) parts { return parts{"docker.io", repository, tag, digest} }
	for _, test := range []struct {
		name, in string
		want     parts
	}{
		{"no host is Docker Hub", "myorg/app:v1", hub("myorg/app", "v1", "")},
		{"one component of Docker Hub gets library", "nginx:1", hub("library/nginx", "1", "")},
		{"no tag and no digest means latest", "nginx", hub("library/nginx", "latest", "")},
		{"a digest alone gets no tag", "nginx@" + sha256a, hub("library/nginx", "", sha256a)},
		{"a tag beside a digest is kept", "nginx:1@" + sha256a, hub("library/nginx", "1", sha256a)},
		{"a sha512 digest is a digest", "nginx@" + sha512a, hub("library/nginx", "", sha512a)},
		{"T32: docker.io is spelled out", "docker.io/nginx", hub("library/nginx", "latest", "")},
		{"T32: docker.io with library is the same", "docker.io/library/nginx", hub("library/nginx", "latest", "")},
		{"T32: index.docker.io is docker.io", "index.docker.io/nginx", hub("library/nginx", "latest", "")},
		{"T32: registry-1.docker.io is docker.io", "registry-1.docker.io/library/nginx", hub("library/nginx", "latest", "")},
		{"T32: one component of registry-1.docker.io gets library", "registry-1.docker.io/nginx", hub("library/nginx", "latest", "")},
		{"T32: registry.hub.docker.com is docker.io", "registry.hub.docker.com/myorg/app", hub("myorg/app", "latest", "")},
		{"T32: Docker Hub's names may be in upper case", "Registry-1.Docker.IO/myorg/app", hub("myorg/app", "latest", "")},
		{"T32: Docker Hub's names may have a port", "index.docker.io:443/nginx", hub("library/nginx", "latest", "")},
		{"T32: docker.io may have a port", "docker.io:443/nginx", hub("library/nginx", "latest", "")},
		{"T32: another port of Docker Hub is another registry", "docker.io:444/nginx", parts{"docker.io:444", "nginx", "latest", ""}},
		{"T32: an upper-case host is lower-cased", "GHCR.io/org/app:v1", parts{"ghcr.io", "org/app", "v1", ""}},
		{"T32: the default port goes", "ghcr.io:443/org/app:v1", parts{"ghcr.io", "org/app", "v1", ""}},
		{"T32: both at once", "GHCR.IO:443/org/app:v1", parts{"ghcr.io", "org/app", "v1", ""}},
		{"T32: zeros before the default port go with it", "ghcr.io:000443/org/app:v1", parts{"ghcr.io", "org/app", "v1", ""}},
		{"T32: zeros before another port go", "ghcr.io:05000/org/app", parts{"ghcr.io:5000", "org/app", "latest", ""}},
		{"T32: another port stays", "ghcr.io:4430/org/app", parts{"ghcr.io:4430", "org/app", "latest", ""}},
		{"T32: a port of zeros is port 0", "ghcr.io:000/org/app", parts{"ghcr.io:0", "org/app", "latest", ""}},
		{"T32: an IPv6 address has one spelling", "[2001:DB8:0:0::1]:443/app", parts{"[2001:db8::1]", "app", "latest", ""}},
		{"T32: an IPv6 address may have a port", "[::1]:5000/app", parts{"[::1]:5000", "app", "latest", ""}},
		{"T32: an IPv4 address in an IPv6 address is that", "[::ffff:7f00:1]:5000/app", parts{"127.0.0.1:5000", "app", "latest", ""}},
		{"T32: brackets around what is no address stay", "[:::]:443/app", parts{"[:::]", "app", "latest", ""}},
		{"localhost is a host", "localhost/app", parts{"localhost", "app", "latest", ""}},
		{"LOCALHOST is localhost", "LOCALHOST:443/app", parts{"localhost", "app", "latest", ""}},
		{"localhost without a path is an image", "localhost:5000", hub("library/localhost", "5000", "")},
		{"a host without a path is an image", "ghcr.io", hub("library/ghcr.io", "latest", "")},
		{"T32: a host of one label keeps its port", "registry:443/app", parts{"registry:443", "app", "latest", ""}},
		{"T32: upper case makes a host of a label, which gets its port", "MyOrg/app", parts{"myorg:443", "app", "latest", ""}},
		{"a host of one label and another port", "registry:5000/app", parts{"registry:5000", "app", "latest", ""}},
		{"a host in the path is only a path", "evil.io/registry.k8s.io/pause:1", parts{"evil.io", "registry.k8s.io/pause", "1", ""}},
		{"a tag may be in upper case", "nginx:V1_a.b-c", hub("library/nginx", "V1_a.b-c", "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ref, err := image.Parse(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, partsOf(ref)); diff != "" {
				t.Errorf("Parse(%q) (-want +got):\n%s", test.in, diff)
			}
			if ref.Original() != test.in {
				t.Errorf("what came in is not kept: %q", ref.Original())
			}
			if want := ref.Registry() + "/" + ref.Repository(); ref.Name() != want {
				t.Errorf("Name() = %q, want %q", ref.Name(), want)
			}
		})
	}
}

// TestParseRefuses has the references that deny as InvalidReference. An error
// always comes with the zero reference, which refers to nothing.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, want string }{
		{"nothing", "", "empty"},
		{"blanks", " ", "not a valid image reference"},
		{"a blank before the name", " nginx", "not a valid image reference"},
		{"a newline behind the name", "nginx\n", "not a valid image reference"},
		{"a NUL", "nginx\x00", "not a valid image reference"},
		{"text that is not UTF-8", "ngin\xff", "not a valid image reference"},
		{"letters of other scripts", "ngіnx", "not a valid image reference"}, // a Cyrillic і
		{"a repository in upper case", "docker.io/MyOrg/app", "lowercase"},
		{"a scheme", "https://ghcr.io/org/app", "not a valid image reference"},
		{"credentials", "user:pass@ghcr.io/org/app", "not a valid image reference"},
		{"a path that climbs", "ghcr.io/../app", "not a valid image reference"},
		{"an empty component", "ghcr.io//app", "not a valid image reference"},
		{"a slash at the end", "ghcr.io/app/", "not a valid image reference"},
		{"a host with a trailing dot", "ghcr.io./app", "not a valid image reference"},
		{"a host with an empty port", "ghcr.io:/app", "not a valid image reference"},
		{"a port that is a name", "ghcr.io:https/app", "not a valid image reference"},
		{"an IPv6 address with a zone", "[fe80::1%25eth0]/app", "not a valid image reference"},
		{"an empty tag", "nginx:", "not a valid image reference"},
		{"a tag of 129 characters", "nginx:" + strings.Repeat("a", 129), "not a valid image reference"},
		{"an empty digest", "nginx@", "not a valid image reference"},
		{"a digest without algorithm", "nginx@" + strings.Repeat("a", 64), "not a valid image reference"},
		{"a digest that is too short", "nginx@sha256:" + strings.Repeat("a", 63), "not a valid image reference"},
		{"a digest in upper case", "nginx@sha256:" + strings.Repeat("A", 64), "not a valid image reference"},
		{"an unknown algorithm", "nginx@md5:" + strings.Repeat("a", 32), "not a valid image reference"},
		{"two digests", "nginx@" + sha256a + "@" + sha256b, "not a valid image reference"},
		{"an image ID", strings.Repeat("a", 64), "not a valid image reference"},
		{"more bytes than any reference has", "ghcr.io/" + strings.Repeat("a", image.MaxLength), "longer than 1024 bytes"},
		{"a repository of 256 bytes", "ghcr.io/" + strings.Repeat("a", 256), "255"},
		{"a repository of 256 bytes with library", "registry-1.docker.io/" + strings.Repeat("a", 248), "255"},
		{"a host that DNS cannot have", strings.Repeat("a.", 200) + "io/app", "host is longer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ref, err := image.Parse(test.in)
			if err == nil {
				t.Fatalf("Parse(%q) = %v", test.in, ref)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error does not say %q: %v", test.want, err)
			}
			if !ref.IsZero() {
				t.Errorf("an error came with the reference %v", ref)
			}
		})
	}
}

func TestTheZeroReferenceRefersToNothing(t *testing.T) {
	t.Parallel()
	if !(image.Reference{}).IsZero() {
		t.Error("the zero reference says that it refers to something")
	}
	if ref, err := image.Parse("nginx"); err != nil || ref.IsZero() {
		t.Errorf("nginx refers to nothing: %v", err)
	}
}

// TestPinned: a pinned reference keeps its tag and what the user wrote.
func TestPinned(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, want string }{
		{"a tag is kept", "ghcr.io/org/app:v1", "ghcr.io/org/app:v1@" + sha256b},
		{"the implied tag is spelled out", "nginx", "nginx:latest@" + sha256b},
		{"a port is no tag", "localhost:5000/app", "localhost:5000/app:latest@" + sha256b},
		{"a port and a tag", "localhost:5000/app:v1", "localhost:5000/app:v1@" + sha256b},
		{"another digest is replaced", "nginx:1@" + sha256a, "nginx:1@" + sha256b},
		{"a reference by digest alone gets no tag", "nginx@" + sha256a, "nginx@" + sha256b},
		{"the spelling of the host is kept", "GHCR.io:443/org/app:v1", "GHCR.io:443/org/app:v1@" + sha256b},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ref, err := image.Parse(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := ref.Pinned(sha256b); got != test.want {
				t.Errorf("Pinned = %q, want %q", got, test.want)
			}
		})
	}
}

func TestWithDigestAndWithoutTagLeaveTheReferenceAlone(t *testing.T) {
	t.Parallel()
	ref, err := image.Parse("nginx:1@" + sha256a)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ref.WithDigest(sha256b).String(), "docker.io/library/nginx:1@"+sha256b; got != want {
		t.Errorf("WithDigest = %q, want %q", got, want)
	}
	if got, want := ref.WithoutTag().String(), "docker.io/library/nginx@"+sha256a; got != want {
		t.Errorf("WithoutTag = %q, want %q", got, want)
	}
	if got, want := ref.String(), "docker.io/library/nginx:1@"+sha256a; got != want {
		t.Errorf("the reference itself became %q, want %q", got, want)
	}
}

// TestCanonicalHost has what only configurations and redirects can say; the
// rest is in TestParse.
func TestCanonicalHost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, in, want string }{
		{"no host stays none", "", ""},
		{"a host of one label gets the port that references have", "registry", "registry:443"},
		{"an empty port stays and matches nothing", "ghcr.io:", "ghcr.io:"},
		{"a zone stays", "[fe80::1%eth0]:5000", "[fe80::1%eth0]:5000"},
		{"an address without brackets and port gets brackets", "[::1]", "[::1]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := image.CanonicalHost(test.in)
			if got != test.want {
				t.Errorf("CanonicalHost(%q) = %q, want %q", test.in, got, test.want)
			}
			if again := image.CanonicalHost(got); again != got {
				t.Errorf("CanonicalHost(%q) = %q: not a fixed point", got, again)
			}
		})
	}
}
