package registry

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// mirror is where the repositories of a registry are asked for instead.
type mirror struct{ host, prefix string }

// security is how far a host is trusted when it is connected to.
type security struct {
	insecure bool
	cas      string
}

// hosts is Options.Hosts, indexed by canonical host.
type hosts struct {
	mirrors  map[string]mirror
	security map[string]security
}

// newHosts checks and indexes the configured hosts.
func newHosts(configured []Host) (*hosts, error) {
	h := &hosts{mirrors: map[string]mirror{}, security: map[string]security{}}
	seen := map[string]bool{}
	for _, host := range configured {
		name, prefix, err := splitHost(host.Name)
		switch {
		case err != nil:
			return nil, err
		case prefix != "":
			return nil, fmt.Errorf("registry %q: want a host or host:port without a path", host.Name)
		case seen[name]:
			return nil, fmt.Errorf("registry %q: %s is configured twice", host.Name, name)
		}
		seen[name] = true
		if err := h.add(name, host); err != nil {
			return nil, fmt.Errorf("registry %q: %w", host.Name, err)
		}
	}
	return h, nil
}

func (h *hosts) add(reached string, host Host) error {
	if host.Mirror != "" {
		to, prefix, err := splitHost(host.Mirror)
		if err != nil {
			return fmt.Errorf("mirror: %w", err)
		}
		h.mirrors[reached] = mirror{host: to, prefix: prefix}
		reached = to
	}
	if len(host.CAs) > 0 && !x509.NewCertPool().AppendCertsFromPEM(host.CAs) {
		return errors.New("cert: holds no certificate in PEM form")
	}
	settings := security{insecure: host.Insecure, cas: string(host.CAs)}
	if was, ok := h.security[reached]; ok && was != (security{}) && settings != (security{}) && was != settings {
		return fmt.Errorf("%s is configured in another way by another entry; say it in the mirror's own entry alone", reached)
	} else if settings != (security{}) || !ok {
		h.security[reached] = settings
	}
	return nil
}

// splitHost reads host[:port][/prefix] with the grammar of image references; a
// prefix ends in "/".
func splitHost(s string) (host, prefix string, err error) {
	const repository = "x/y"
	ref, err := image.Parse(s + "/" + repository)
	if err != nil || ref.Registry() != image.CanonicalHost(strings.SplitN(s, "/", 2)[0]) || ref.Digest() != "" {
		return "", "", fmt.Errorf("%q does not name a registry; want a host with a dot, or host:port", s)
	}
	return ref.Registry(), strings.TrimSuffix(ref.Repository(), repository), nil
}

// named are the hosts that were configured, and their mirrors.
func (h *hosts) named() []string {
	return slices.Concat(slices.Collect(maps.Keys(h.mirrors)), slices.Collect(maps.Keys(h.security)))
}

// insecure tells whether the host was named so. The host may be in any
// spelling.
func (h *hosts) insecure(host string) bool {
	return h.security[image.CanonicalHost(host)].insecure
}

// target is a repository at the host that is really asked for it.
type target struct {
	host       string // canonical, for messages and keys
	registry   name.Registry
	repository string
}

// target finds where to ask for an image.
func (h *hosts) target(ref image.Reference) (target, error) {
	t := target{host: ref.Registry(), repository: ref.Repository()}
	if m, ok := h.mirrors[t.host]; ok {
		t.host, t.repository = m.host, m.prefix+t.repository
	}
	var opts []name.Option
	if h.insecure(t.host) {
		opts = append(opts, name.Insecure)
	}
	// This also turns docker.io into the host that serves it.
	registry, err := name.NewRegistry(t.host, opts...)
	if err != nil || ref.IsZero() {
		return target{}, validator.Errorf(validator.InvalidReference, "%q does not name a registry", t.host)
	}
	t.registry = registry
	return t, nil
}
