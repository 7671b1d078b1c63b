package notation

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"

	"github.com/notaryproject/notation-go/verifier/trustpolicy"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Type is the validator's type in the configuration.
const Type = "notation"

// Registry is what the validator needs of a registry.
type Registry interface {
	// Resolve returns the digest that the reference's tag stands for.
	Resolve(ctx context.Context, ref image.Reference) (image.Digest, error)
	// Attached yields what is attached to the reference's digest. Nothing about it
	// is verified.
	Attached(ctx context.Context, ref image.Reference, want registry.Wanted) iter.Seq2[[]registry.Candidate, error]
}

// Access is what somebody sees of the registries. The error is a
// *validator.Error.
type Access func(ctx context.Context, who validator.Identity) (Registry, error)

// Dependencies is what the validator is built from.
type Dependencies struct {
	// Trust gives the material of trust roots.
	Trust trust.Source
	// Open gives access to registries with the validator's settings for it.
	// Errors have the paths of the keys in settings.
	Open func(settings strict.Object, access registry.AccessConfig) (Access, strict.Errors)
	// Revocation asks OCSP responders and CRL distribution points.
	Revocation *http.Client
	// State is what outlives the configuration.
	State *State
}

// Notation is a configured validator, yet without the settings of a rule.
type Notation struct {
	roots          []signerRoot
	access         Access
	revocation     *http.Client
	skipRevocation bool
	state          *State
	overlaps       strict.Errors
}

// New reads the validator's settings.
func New(settings strict.Object, deps Dependencies) (*Notation, strict.Errors) {
	var config struct {
		registry.AccessConfig `config:",squash"`
		TrustRoots            []rootConfig `config:"trustRoots"`
		SkipRevocation        bool         `config:"insecureSkipRevocation"`
	}
	if errs := settings.Decode(&config); len(errs) > 0 {
		return nil, errs
	}
	n := &Notation{revocation: deps.Revocation, skipRevocation: config.SkipRevocation, state: deps.State}
	var errs, more strict.Errors
	n.access, errs = deps.Open(settings, config.AccessConfig)
	n.roots, more = loadRoots(settings.Key("trustRoots"), config.TrustRoots, deps.Trust)
	n.overlaps = overlaps(settings.Key("trustRoots"), n.roots)
	return n, append(errs, more...)
}

// Overlaps is what to warn of where a rule counts trust roots.
func (n *Notation) Overlaps() strict.Errors { return n.overlaps }

// Expiries tells when the trust roots' certificates do.
func (n *Notation) Expiries() (all []trust.Expiry) {
	for _, r := range n.roots {
		all = append(all, trust.Expiry{Root: r.Name, At: trust.Earliest(slices.Concat(r.anchors, r.timestamps)...)})
	}
	return all
}

// Resolve implements validator.Resolver.
func (n *Notation) Resolve(ctx context.Context, req validator.Request) (image.Digest, error) {
	access, err := n.access(ctx, req.Identity)
	if err != nil {
		return "", err
	}
	return access.Resolve(ctx, req.Image)
}

// ruleConfig is what a rule may say under "with".
type ruleConfig struct {
	trust.Selection   `config:",squash"`
	VerificationLevel string                      `config:"verificationLevel"`
	VerifyTimestamp   trustpolicy.TimestampOption `config:"verifyTimestamp"`
}

// Levels of verification, from the strictest. The Notary Project's fourth one,
// skip, verifies nothing.
// https://github.com/notaryproject/specifications/blob/v1.1.0/specs/trust-store-trust-policy.md#signature-verification-levels
var (
	Strict     = trustpolicy.LevelStrict.Name
	Permissive = trustpolicy.LevelPermissive.Name
	Audit      = trustpolicy.LevelAudit.Name
)

// Bind takes the settings of a rule.
func (n *Notation) Bind(with strict.Object) (validator.Validator, strict.Errors) {
	var config ruleConfig
	errs := with.Decode(&config)
	config.VerificationLevel = cmp.Or(config.VerificationLevel, Strict)
	if levels := []string{Strict, Permissive, Audit}; config.VerificationLevel == trustpolicy.LevelSkip.Name {
		errs.Add(with.Key("verificationLevel"), "is %q, but must be %s, %s or %s; for images that need no signature there are validators of the type static", config.VerificationLevel, Strict, Permissive, Audit)
	} else if !slices.Contains(levels, config.VerificationLevel) {
		errs.Add(with.Key("verificationLevel"), "is %q, but must be %s, %s or %s%s", config.VerificationLevel, Strict, Permissive, Audit, strict.Suggest(config.VerificationLevel, levels))
	}
	all := make([]trust.Root, len(n.roots))
	for i, root := range n.roots {
		all[i] = root.Root
	}
	quorum, more := config.Select(with.Path, all)
	if errs = append(errs, more...); len(errs) > 0 {
		return nil, errs
	}
	b := &bound{Notation: n, quorum: quorum, level: config.VerificationLevel}
	for _, root := range n.roots {
		if slices.Contains(trust.Names(quorum.Roots), root.Name) {
			b.signers = append(b.signers, root)
		}
	}
	errs = append(errs, b.stamp(with.Key("verifyTimestamp"), config.VerifyTimestamp)...)
	b.fingerprint = fmt.Sprintf("%s %s %s %s revocation %t", Type, quorum.Fingerprint(), b.level, b.timestamps, !n.skipRevocation)
	return b, errs
}

// stamp takes when timestamps are demanded, where there are authorities for them.
func (b *bound) stamp(path string, option trustpolicy.TimestampOption) (errs strict.Errors) {
	b.timestamps = cmp.Or(option, trustpolicy.OptionAlways)
	options := []string{string(trustpolicy.OptionAlways), string(trustpolicy.OptionAfterCertExpiry)}
	switch {
	case option == "":
	case !slices.Contains(options, string(option)):
		errs.Add(path, "is %q, but must be %s or %s%s", option, options[0], options[1], strict.Suggest(string(option), options))
	case !slices.ContainsFunc(b.signers, func(r signerRoot) bool { return r.stamped() }):
		errs.Add(path, "has no effect, since no trust root of the rule has a timestamp authority (tsCert)")
	}
	return errs
}
