// Package builtin lists the kinds of validators that a configuration may use.
package builtin

import (
	"context"
	"maps"
	"slices"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/cosign"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/static"
)

// Configured is a validator of the configuration, yet without the settings of
// a rule.
type Configured interface {
	// Bind takes the settings of a rule.
	Bind(with strict.Object) (validator.Validator, strict.Errors)
}

// Dependencies is what validators are built from.
type Dependencies struct {
	// Trust gives the material of trust roots.
	Trust trust.Source
	// Registry reaches registries.
	Registry *registry.Client
	// Trusting is like Registry, and trusts certificates in PEM form besides. Nil
	// makes a new client each time.
	Trusting func(cas []byte) (*registry.Client, error)
	// Secrets has the credentials for registries; nil means that there are none.
	Secrets SecretSource
	// Logins are for validators without credentials of their own; nil for none.
	Logins *credentials.Set
	// PullSecrets has those of workloads; nil where no cluster can be asked.
	PullSecrets PullSecrets
	// Keychain has those of the clouds.
	Keychain authn.Keychain
}

// Constructor builds a validator of one type. settings holds the
// configuration's keys for it but name and type.
type Constructor func(name string, settings strict.Object, deps Dependencies) (Configured, validator.Resolver, strict.Errors)

// constructors maps the type in the configuration to its constructor.
var constructors = map[string]Constructor{
	static.Type: newStatic,
	cosign.Type: newCosign,
}

// Lookup finds the constructor of a type.
func Lookup(name string) (Constructor, bool) {
	constructor, ok := constructors[name]
	return constructor, ok
}

// Types lists the types there are.
func Types() []string { return slices.Sorted(maps.Keys(constructors)) }

func newStatic(name string, settings strict.Object, deps Dependencies) (Configured, validator.Resolver, strict.Errors) {
	configured, errs := static.New(name, settings)
	return configured, resolver{deps.Registry.As(nil, "")}, errs
}

func newCosign(_ string, settings strict.Object, deps Dependencies) (Configured, validator.Resolver, strict.Errors) {
	var through *access
	open := func(settings strict.Object, config registry.AccessConfig) (cosign.Access, strict.Errors) {
		var errs strict.Errors
		through, errs = deps.access(settings, config)
		return func(ctx context.Context, who validator.Identity) (cosign.Registry, error) {
			as, err := through.as(ctx, who)
			if err != nil {
				return nil, err // and not an interface that holds a nil pointer
			}
			return as, nil
		}, errs
	}
	configured, errs := cosign.New(settings, cosign.Dependencies{Trust: deps.Trust, Open: open})
	if len(errs) > 0 {
		return nil, nil, errs
	}
	return reaching{configured, through}, configured, nil
}

// resolver resolves tags with a validator's access to registries.
type resolver struct{ access *registry.Access }

func (r resolver) Resolve(ctx context.Context, req validator.Request) (image.Digest, error) {
	return r.access.Resolve(ctx, req.Image)
}
