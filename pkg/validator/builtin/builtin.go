// Package builtin lists the kinds of validators that a configuration may use.
package builtin

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/cosign"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notation"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/static"
)

// Configured is a validator of the configuration, yet without the settings of
// a rule.
type Configured interface {
	// Bind takes the settings of a rule. The resolver resolves tags as the
	// validator sees them.
	Bind(with strict.Object) (validator.Validator, validator.Resolver, strict.Errors)
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
	// Notaries is what is known of notary servers' repositories; nil for nothing.
	Notaries *notaryv1.State
	// Revocations is what is known of revoked certificates; nil for nothing.
	Revocations *notation.State
	// Now is the clock that the expiry of trust data is judged by; time.Now if
	// nil.
	Now func() time.Time
}

// Constructor builds a validator of one type. settings holds the
// configuration's keys for it but name and type.
type Constructor func(name string, settings strict.Object, deps Dependencies) (Configured, strict.Errors)

// constructors maps the type in the configuration to its constructor.
var constructors = map[string]Constructor{
	static.Type:   newStatic,
	cosign.Type:   newCosign,
	notaryv1.Type: newNotaryV1,
	notation.Type: newNotation,
}

// Lookup finds the constructor of a type.
func Lookup(name string) (Constructor, bool) {
	constructor, ok := constructors[name]
	return constructor, ok
}

// Types lists the types there are.
func Types() []string { return slices.Sorted(maps.Keys(constructors)) }

func newStatic(name string, settings strict.Object, deps Dependencies) (Configured, strict.Errors) {
	v, errs := static.New(name, settings)
	return configured{kind: static.Type, bind: func(with strict.Object) (validator.Validator, validator.Resolver, strict.Errors) {
		bound, errs := v.Bind(with)
		return bound, resolver{deps.Registry.As(nil, "")}, errs
	}}, errs
}

func newCosign(_ string, settings strict.Object, deps Dependencies) (Configured, strict.Errors) {
	var through *access
	open := func(settings strict.Object, config registry.AccessConfig) (cosign.Access, strict.Errors) {
		var errs strict.Errors
		through, errs = deps.access("", settings, config)
		return reach[cosign.Registry](through), errs
	}
	v, errs := cosign.New(settings, cosign.Dependencies{Trust: deps.Trust, Open: open})
	if len(errs) > 0 {
		return nil, errs
	}
	return configured{kind: cosign.Type, access: through, expiries: v.Expiries(), bind: func(with strict.Object) (validator.Validator, validator.Resolver, strict.Errors) {
		bound, errs := v.Bind(with)
		return bound, v, errs
	}}, nil
}

func newNotaryV1(_ string, settings strict.Object, deps Dependencies) (Configured, strict.Errors) {
	var through *access
	open := func(server string, settings strict.Object, config registry.AccessConfig) (notaryv1.Access, strict.Errors) {
		var errs strict.Errors
		through, errs = deps.access(server, settings, config)
		return reach[notaryv1.Server](through), errs
	}
	needs := notaryv1.Dependencies{Trust: deps.Trust, Open: open, State: deps.Notaries, Now: deps.Now}
	if needs.State == nil {
		needs.State = notaryv1.NewState()
	}
	if needs.Now == nil {
		needs.Now = time.Now
	}
	v, errs := notaryv1.New(settings, needs)
	if len(errs) > 0 {
		return nil, errs
	}
	return configured{kind: notaryv1.Type, access: through, bind: func(with strict.Object) (validator.Validator, validator.Resolver, strict.Errors) {
		bound, errs := v.Bind(with)
		if len(errs) > 0 {
			return nil, nil, errs
		}
		return bound, bound, nil
	}}, nil
}

func newNotation(_ string, settings strict.Object, deps Dependencies) (Configured, strict.Errors) {
	var through *access
	open := func(settings strict.Object, config registry.AccessConfig) (notation.Access, strict.Errors) {
		var errs strict.Errors
		through, errs = deps.access("", settings, config)
		return reach[notation.Registry](through), errs
	}
	needs := notation.Dependencies{Trust: deps.Trust, Open: open, Revocation: deps.Registry.Revocation(), State: deps.Revocations}
	if needs.State == nil {
		needs.State = notation.NewState()
	}
	v, errs := notation.New(settings, needs)
	if len(errs) > 0 {
		return nil, errs
	}
	return configured{kind: notation.Type, access: through, overlaps: v.Overlaps(), expiries: v.Expiries(), bind: func(with strict.Object) (validator.Validator, validator.Resolver, strict.Errors) {
		bound, errs := v.Bind(with)
		return bound, v, errs
	}}, nil
}

// What the validators need of registries is what there is.
var (
	_ cosign.Registry   = (*registry.Access)(nil)
	_ notaryv1.Server   = (*registry.Access)(nil)
	_ notation.Registry = (*registry.Access)(nil)
)

// reach gives what somebody sees of registries through an access, as a validator
// needs it.
func reach[Registry any](through *access) func(context.Context, validator.Identity) (Registry, error) {
	return func(ctx context.Context, who validator.Identity) (Registry, error) {
		as, err := through.as(ctx, who)
		if err != nil {
			var none Registry
			return none, err
		}
		return any(as).(Registry), nil
	}
}

// resolver resolves tags with the validator's access to registries.
type resolver struct{ access *registry.Access }

func (r resolver) Resolve(ctx context.Context, req validator.Request) (image.Digest, error) {
	return r.access.Resolve(ctx, req.Image)
}
