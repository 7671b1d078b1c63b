package image

import (
	_ "crypto/sha256" // registers the digest algorithms that Parse accepts
	_ "crypto/sha512"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// DefaultRegistry is the registry of a reference that names none.
const DefaultRegistry = "docker.io"

// DefaultTag is the tag of a reference that has neither tag nor digest.
const DefaultTag = "latest"

// MaxLength bounds what Parse looks at, in bytes: a host, a repository, a tag
// of 128 characters and a sha512 digest.
const MaxLength = 1024

const (
	maxHost       = 253 + len(":65535") // RFC 1035, section 2.3.4
	maxRepository = 255
)

// Digest is a content digest, "algorithm:hex". The zero value is no digest.
type Digest string

// Reference is a canonical image reference:
// registry/repository[:tag][@digest]. The zero value refers to nothing.
type Reference struct {
	original   string
	registry   string
	repository string
	tag        string
	digest     Digest
}

// Parse reads a reference as a container's image field holds it. The host is
// lower-cased and loses ":443"; Docker Hub's several names become docker.io,
// where one-component names get "library/"; no tag and no digest means
// ":latest". A tag beside a digest is kept.
func Parse(s string) (Reference, error) {
	if s == "" {
		return Reference{}, errors.New("the image reference is empty")
	}
	if len(s) > MaxLength {
		return Reference{}, fmt.Errorf("the image reference is longer than %d bytes", MaxLength)
	}
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		// The library's text may repeat the reference, line breaks and all.
		why := strings.Trim(strconv.Quote(err.Error()), `"`)
		return Reference{}, fmt.Errorf("%q is not a valid image reference: %s", s, why)
	}
	host := reference.Domain(named)
	if host == "" {
		// The library takes a host that is none for a part of the path.
		return Reference{}, fmt.Errorf("%q is not a valid image reference: what stands before the first / is not the name of a registry", s)
	}
	registry, repository := canonicalName(host, reference.Path(named))
	if max(len(host), len(registry)) > maxHost || len(repository) > maxRepository {
		return Reference{}, fmt.Errorf("%q is not a valid image reference: its host is longer than %d or its repository longer than %d bytes", s, maxHost, maxRepository)
	}
	ref := Reference{original: s, registry: registry, repository: repository}
	if tagged, ok := named.(reference.Tagged); ok {
		ref.tag = tagged.Tag()
	}
	if digested, ok := named.(reference.Digested); ok {
		ref.digest = Digest(digested.Digest())
	}
	if ref.tag == "" && ref.digest == "" {
		ref.tag = DefaultTag
	}
	return ref, nil
}

// canonicalName gives the one spelling of a registry host and of a repository
// in it.
func canonicalName(host, path string) (registry, repository string) {
	registry = CanonicalHost(host)
	if registry == DefaultRegistry && !strings.Contains(path, "/") {
		path = "library/" + path
	}
	return registry, path
}

// CanonicalHost gives the one spelling of a registry host: lower case, without
// the default port, docker.io for each of Docker Hub's names, and IP addresses
// as RFC 5952 has them. Only a host of a single label always shows its port:
// "registry/app" would be a repository of Docker Hub.
func CanonicalHost(host string) string {
	name, port := splitPort(strings.ToLower(host))
	if address, err := netip.ParseAddr(strings.Trim(name, "[]")); err == nil {
		if name = address.Unmap().String(); strings.Contains(name, ":") {
			name = "[" + name + "]"
		}
	}
	switch {
	case port != "443":
		return name + ":" + port
	case slices.Contains(hubHosts, name):
		return DefaultRegistry
	case name == "" || name == "localhost" || strings.ContainsAny(name, ".:"):
		return name
	}
	return name + ":" + port
}

var hubHosts = []string{DefaultRegistry, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"}

// splitPort splits a host, and gives the port as one spells a number.
func splitPort(host string) (name, port string) {
	i := strings.LastIndexByte(host, ':')
	if i <= strings.LastIndexByte(host, ']') {
		return host, "443"
	}
	name, port = host[:i], host[i+1:]
	for len(port) > 1 && port[0] == '0' {
		port = port[1:]
	}
	return name, port
}

// Original is the reference as it came in, for messages.
func (r Reference) Original() string { return r.original }

// Registry is the canonical host, as CanonicalHost gives it.
func (r Reference) Registry() string { return r.registry }

// Repository is the path of the repository within its registry.
func (r Reference) Repository() string { return r.repository }

// Name is registry/repository.
func (r Reference) Name() string { return r.registry + "/" + r.repository }

// Tag is the tag, or "" where the reference has only a digest.
func (r Reference) Tag() string { return r.tag }

// Digest is the digest, or "" where the reference has only a tag.
func (r Reference) Digest() Digest { return r.digest }

// IsZero tells whether the reference refers to nothing.
func (r Reference) IsZero() bool { return r.repository == "" }

// String is the canonical form.
func (r Reference) String() string {
	return suffixed(r.Name(), r.tag, r.digest)
}

// WithoutTag is the same reference by its digest alone. It must have one.
func (r Reference) WithoutTag() Reference {
	r.tag = ""
	return r
}

// WithDigest is the same reference with this digest; its tag is kept.
func (r Reference) WithDigest(d Digest) Reference {
	r.digest = d
	return r
}

// Pinned is what a container's image field must say to run exactly this
// digest: the name as the user wrote it, its tag (spelled out where it was
// implied, so that the same rule applies to the pinned reference) and the
// digest.
func (r Reference) Pinned(d Digest) string {
	name := r.original
	if i := strings.IndexByte(name, '@'); i >= 0 {
		name = name[:i]
	}
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return suffixed(name, r.tag, d)
}

func suffixed(name, tag string, digest Digest) string {
	if tag != "" {
		name += ":" + tag
	}
	if digest != "" {
		name += "@" + string(digest)
	}
	return name
}
