package builtin

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// keychains gives the login of the first that has one. An error ends the search:
// what could not be read must not be taken for nothing.
type keychains []authn.Keychain

var _ authn.ContextKeychain = keychains{}

// Resolve implements authn.Keychain.
func (k keychains) Resolve(of authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), of)
}

// ResolveContext implements authn.ContextKeychain.
func (k keychains) ResolveContext(ctx context.Context, of authn.Resource) (authn.Authenticator, error) {
	for _, one := range k {
		if found, err := authn.Resolve(ctx, one, of); err != nil || found != authn.Anonymous {
			return found, err
		}
	}
	return authn.Anonymous, nil
}

// reaching is a validator with its access: what it finds depends on that too.
type reaching struct {
	Configured
	access *access
}

// Bind implements Configured.
func (r reaching) Bind(with strict.Object) (validator.Validator, strict.Errors) {
	bound, errs := r.Configured.Bind(with)
	if len(errs) > 0 {
		return nil, errs
	}
	return fingerprinted{bound, r.access.by}, nil
}

type fingerprinted struct {
	validator.Validator
	by string
}

// Fingerprint covers the access too.
func (f fingerprinted) Fingerprint() string {
	return f.Validator.Fingerprint() + " reaching by " + f.by
}

// UsesPullSecrets tells whether a validator uses the pull secrets of workloads,
// so that its results are for those who have the same ones.
func UsesPullSecrets(c Configured) bool {
	r, ok := c.(reaching)
	return ok && r.access.pull
}
