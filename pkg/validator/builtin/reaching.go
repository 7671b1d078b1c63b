package builtin

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
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

// serverLogins are the logins for a notary server: its own, or else those of the
// image's registry, since the two share their users where they belong together.
// To another host than the registry itself only go those of the Secret that the
// validator names.
type serverLogins struct {
	server string
	all    keychains
	secret *credentials.Set
}

var _ authn.ContextKeychain = serverLogins{}

// ServerLogins are those of a set for a notary server.
func ServerLogins(server string, set credentials.Set) authn.Keychain {
	return serverLogins{server, keychains{set}, &set}
}

// Resolve implements authn.Keychain.
func (l serverLogins) Resolve(of authn.Resource) (authn.Authenticator, error) {
	return l.ResolveContext(context.Background(), of)
}

// ResolveContext implements authn.ContextKeychain for SERVER/REGISTRY/REPOSITORY.
func (l serverLogins) ResolveContext(ctx context.Context, of authn.Resource) (authn.Authenticator, error) {
	if found, err := l.all.ResolveContext(ctx, of); err != nil || found != authn.Anonymous {
		return found, err
	}
	repository, err := name.NewRepository(strings.TrimPrefix(of.String(), of.RegistryStr()+"/"))
	switch {
	case err != nil: // it is no name of an image
		return authn.Anonymous, nil //nolint:nilerr // and so nobody has a login for it
	case image.CanonicalHost(repository.RegistryStr()) == l.server:
		return l.all.ResolveContext(ctx, repository)
	case l.secret != nil:
		return l.secret.ResolveContext(ctx, repository)
	}
	return authn.Anonymous, nil
}

// configured is a validator with its access, if it has one: what it finds
// depends on that too.
type configured struct {
	kind   string
	bind   func(with strict.Object) (validator.Validator, validator.Resolver, strict.Errors)
	access *access
	// overlaps is what to warn of where a rule counts trust roots.
	overlaps strict.Errors
	// expiries is when the validator's certificates expire.
	expiries []trust.Expiry
}

// Bind implements Configured.
func (c configured) Bind(with strict.Object) (validator.Validator, validator.Resolver, strict.Errors) {
	bound, resolver, errs := c.bind(with)
	if len(errs) > 0 {
		return nil, nil, errs
	}
	if c.access != nil {
		bound = fingerprinted{bound, c.access.by}
	}
	return bound, resolver, nil
}

type fingerprinted struct {
	validator.Validator
	by string
}

// Fingerprint covers the access too.
func (f fingerprinted) Fingerprint() string {
	return f.Validator.Fingerprint() + " reaching by " + f.by
}

// Holds implements validator.Witness.
func (f fingerprinted) Holds(req validator.Request, seen string) bool {
	return validator.Holds(f.Validator, req, validator.Result{Seen: seen})
}

// Type is the validator's type in the configuration.
func Type(c Configured) string {
	with, _ := c.(configured)
	return with.kind
}

// UsesPullSecrets tells whether a validator uses the pull secrets of workloads,
// so that its results are for those who have the same ones.
func UsesPullSecrets(c Configured) bool {
	with, ok := c.(configured)
	return ok && with.access != nil && with.access.pull
}

// Overlaps is what to warn of where a rule counts a validator's trust roots.
func Overlaps(c Configured) strict.Errors {
	with, _ := c.(configured)
	return with.overlaps
}

// Expiries tells when the trust roots' certificates of a validator expire, and
// others of its settings; those that are not available are left out.
func Expiries(c Configured) []trust.Expiry {
	with, _ := c.(configured)
	return slices.DeleteFunc(slices.Clone(with.expiries), func(e trust.Expiry) bool { return e.At.IsZero() })
}
