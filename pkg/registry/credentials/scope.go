package credentials

import (
	"fmt"
	"path"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// scope is what a login is for: a registry, and where it has a path the
// repositories below that.
type scope struct {
	host string // canonical; its labels may be globs
	glob bool
	path string // "" or without a slash at either end
}

// parseScope reads a key of a Docker configuration: host[:port][/path], also as
// a URL. Docker's and Kubernetes' /v1/ and /v2/ are no paths of repositories.
// https://kubernetes.io/docs/concepts/containers/images/#config-json
func parseScope(key string) (scope, error) {
	rest := key
	if scheme, after, ok := strings.Cut(key, "://"); ok {
		if s := strings.ToLower(scheme); s != "https" && s != "http" {
			return scope{}, fmt.Errorf("%.60q does not name a registry", key)
		}
		rest = after
	}
	host, repositories, _ := strings.Cut(rest, "/")
	repositories = strings.TrimRight(repositories, "/")
	for _, version := range []string{"v1", "v2"} {
		if repositories == version {
			repositories = ""
		}
		repositories = strings.TrimPrefix(repositories, version+"/")
	}
	s := scope{host: image.CanonicalHost(host), glob: strings.ContainsAny(host, "*?"), path: repositories}
	if !s.valid() {
		return scope{}, fmt.Errorf("%.60q does not name a registry", key)
	}
	return s, nil
}

// valid tells whether an image could have such a name.
func (s scope) valid() bool {
	host := s.host
	if s.glob {
		if _, err := path.Match(host, ""); err != nil || strings.ContainsAny(host, "[]") {
			return false // brackets are IPv6's here
		}
		host = strings.NewReplacer("*", "x", "?", "x").Replace(host)
	}
	repository := "x/y"
	if s.path != "" {
		repository = s.path + "/" + repository
	}
	ref, err := image.Parse(host + "/" + repository)
	return err == nil && ref.Registry() == host && ref.Repository() == repository && ref.Digest() == "" && ref.Tag() == image.DefaultTag
}

// covers tells whether a repository lies within the scope. The host must be
// canonical.
func (s scope) covers(host, repository string) bool {
	if s.path != "" && repository != s.path && !strings.HasPrefix(repository, s.path+"/") {
		return false
	}
	if !s.glob {
		return s.host == host
	}
	// As Kubernetes has it, a glob is for one label, and never for a port.
	want, got := strings.Split(s.host, "."), strings.Split(host, ".")
	if len(want) != len(got) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], got[i]); err != nil || !ok {
			return false
		}
	}
	return portOf(s.host) == portOf(host)
}

func portOf(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		return host[i+1:]
	}
	return ""
}

// narrower tells whether a scope says more than another about what both cover.
func (s scope) narrower(than scope) bool {
	if len(s.path) != len(than.path) {
		return len(s.path) > len(than.path)
	}
	return !s.glob && than.glob
}
