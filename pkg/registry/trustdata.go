package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// ErrNoTrustData is the error for a file that a notary server does not have.
var ErrNoTrustData = errors.New("there is no such trust data")

// TrustData fetches a file of a repository's metadata from a notary server,
// host[:port]. Notary servers speak the registries' protocol for access, so that
// everything holds for them that holds for registries; the repository is called
// by its whole name, registry and all. What is fresh is not taken from caches on
// the way. The error is ErrNoTrustData or a *validator.Error.
//
// https://github.com/notaryproject/notary/blob/v0.7.0/docs/reference/server-config.md
func (a *Access) TrustData(ctx context.Context, server, repository, file string, limit int64, fresh bool) ([]byte, error) {
	ctx, end := a.client.begin(context.WithValue(ctx, nounKey{}, "notary server"))
	defer end()
	t, err := a.client.hosts.server(server, repository)
	if err != nil {
		return nil, err
	}
	got, err := a.ask(ctx, t, question{method: http.MethodGet, path: "_trust/tuf/" + file, limit: limit, fresh: fresh})
	switch {
	case err != nil:
		return nil, err
	case got.status == http.StatusOK:
		return got.body, nil
	case got.status == http.StatusNotFound:
		return nil, fmt.Errorf("%s of %s: %w", file, repository, ErrNoTrustData)
	}
	return nil, refusedBy(called(ctx, t.host), "the trust data of "+repository, got.status, codeIn(got.body), got.as)
}

// server is a repository at a server that is no registry, and so has no mirror.
func (h *hosts) server(host, repository string) (target, error) {
	t := target{host: image.CanonicalHost(host), repository: repository}
	var opts []name.Option
	if h.insecure(t.host) {
		opts = append(opts, name.Insecure)
	}
	var err error
	if t.registry, err = name.NewRegistry(t.host, opts...); err != nil {
		return target{}, validator.Errorf(validator.Internal, "%.80q does not name a server", host)
	}
	return t, nil
}
