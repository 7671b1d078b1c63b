package cosign

import (
	"context"
	"fmt"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Type is the validator's type in the configuration.
const Type = "cosign"

// Dependencies is what the validator is built from.
type Dependencies struct {
	// Trust gives the material of trust roots.
	Trust trust.Source
	// Open gives access to registries with the validator's settings for it.
	// Errors have the paths of the keys in settings.
	Open func(settings strict.Object, access registry.AccessConfig) (Access, strict.Errors)
}

// Access is what somebody sees of the registries. The error is a
// *validator.Error.
type Access func(ctx context.Context, who validator.Identity) (Registry, error)

// Registry is what the validator needs of a registry.
type Registry interface {
	// Resolve returns the digest that the reference's tag stands for.
	Resolve(ctx context.Context, ref image.Reference) (image.Digest, error)
	// Signatures returns the signatures that are attached to the reference's
	// digest; none is no error. Nothing about them is verified.
	Signatures(ctx context.Context, ref image.Reference) ([]registry.Signature, error)
}

// Cosign is a configured validator, yet without the settings of a rule.
type Cosign struct {
	roots  []trust.Root
	access Access
}

// New reads the validator's settings.
func New(settings strict.Object, deps Dependencies) (*Cosign, strict.Errors) {
	var config struct {
		registry.AccessConfig `config:",squash"`
		TrustRoots            []trust.KeyConfig `config:"trustRoots"`
	}
	errs := settings.Decode(&config)
	if len(errs) > 0 {
		return nil, errs
	}
	access, errs := deps.Open(settings, config.AccessConfig)
	roots, more := trust.LoadKeys(settings.Key("trustRoots"), config.TrustRoots, deps.Trust)
	return &Cosign{roots: roots, access: access}, append(errs, more...)
}

// Resolve implements validator.Resolver.
func (c *Cosign) Resolve(ctx context.Context, req validator.Request) (image.Digest, error) {
	access, err := c.access(ctx, req.Identity)
	if err != nil {
		return "", err
	}
	return access.Resolve(ctx, req.Image)
}

// ruleConfig is what a rule may say under "with".
type ruleConfig struct {
	trust.Selection       `config:",squash"`
	VerifyTransparencyLog *bool `config:"verifyInTransparencyLog"`
}

// Bind takes the settings of a rule.
func (c *Cosign) Bind(with strict.Object) (validator.Validator, strict.Errors) {
	var config ruleConfig
	errs := with.Decode(&config)
	if config.VerifyTransparencyLog == nil || *config.VerifyTransparencyLog {
		errs.Add(with.Key("verifyInTransparencyLog"), "must be false: this version does not look into transparency logs, and that has to be said")
	}
	quorum, more := config.Select(with.Path, c.roots)
	if errs = append(errs, more...); len(errs) > 0 {
		return nil, errs
	}
	return &bound{
		quorum:      quorum,
		access:      c.access,
		fingerprint: fmt.Sprintf("%s %s", Type, quorum.Fingerprint()),
	}, nil
}
