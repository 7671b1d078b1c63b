package cosign

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sigstore/sigstore-go/pkg/verify"

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

// Cosign is a configured validator, yet without the settings of a rule.
type Cosign struct {
	roots  []trust.Root
	host   *host
	access Access
	reach  string // identifies the settings for registries
}

// New reads the validator's settings.
func New(settings strict.Object, deps Dependencies) (*Cosign, strict.Errors) {
	var config struct {
		registry.AccessConfig `config:",squash"`
		TrustRoots            []trust.RootConfig `config:"trustRoots"`
		Host                  hostConfig         `config:"host"`
	}
	errs := settings.Decode(&config)
	if len(errs) > 0 {
		return nil, errs
	}
	access, errs := deps.Open(settings, config.AccessConfig)
	roots, more := trust.LoadRoots(settings.Key("trustRoots"), config.TrustRoots, deps.Trust)
	errs = append(errs, more...)
	host, more := newHost(settings.Key("host"), config.Host, deps.Trust)
	errs = append(errs, more...)
	return &Cosign{roots: roots, host: host, access: access, reach: fmt.Sprintf("%+v", config.AccessConfig)}, errs
}

// Expiries tells when the certificates do that are configured. What is fetched by
// TUF expires with its repository's root.
func (c *Cosign) Expiries() (all []trust.Expiry) {
	for _, r := range c.roots {
		if r.Authority != nil {
			all = append(all, trust.Expiry{Root: r.Name, At: r.Authority.Expires()})
		}
	}
	for key, material := range map[string]*trust.Material{"fulcioCert": c.host.fulcio, "tsaCert": c.host.tsa, "trustedRoot": c.host.all} {
		if material != nil {
			all = append(all, trust.Expiry{Root: "host." + key, At: material.Expires()})
		}
	}
	return all
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
	VerifyTransparencyLog *bool               `config:"verifyInTransparencyLog"`
	VerifySCT             *bool               `config:"verifySCT"`
	Attestations          []attestationConfig `config:"attestations"`
	Annotations           map[string]string   `config:"annotations"`
	Platforms             platforms           `config:"platforms"`
}

// platforms says what of an image for several platforms must be signed.
type platforms string

const (
	index  platforms = "index"  // the index, which names the images by digest
	each   platforms = "each"   // each image
	either platforms = "either" // one of the two
)

// Bind takes the settings of a rule.
func (c *Cosign) Bind(with strict.Object) (validator.Validator, strict.Errors) {
	config := ruleConfig{Platforms: index}
	errs := with.Decode(&config)
	if !slices.Contains([]platforms{index, each, either}, config.Platforms) {
		errs.Add(with.Key("platforms"), "is %q, but must be %s, %s or %s", config.Platforms, index, each, either)
	}
	attestations, more := compileAttestations(with.Key("attestations"), config.Attestations)
	errs = append(errs, more...)
	quorum, more := config.Select(with.Path, c.roots)
	if errs = append(errs, more...); len(errs) > 0 {
		return nil, errs
	}
	wanted := proofs{log: config.VerifyTransparencyLog == nil || *config.VerifyTransparencyLog, sct: config.VerifySCT == nil || *config.VerifySCT}
	b := &bound{
		quorum:    quorum,
		access:    c.access,
		platforms: config.Platforms,
		wanted:    registry.Wanted{Repository: c.host.repository, Signature: signaturePredicate},
		demands:   append([]demand{{what: "signature", predicateType: signaturePredicate, holds: annotated(config.Annotations)}}, attestations...),
	}
	for _, a := range attestations {
		b.wanted.Attestations = append(b.wanted.Attestations, a.predicateType)
	}
	if errs = c.addSigners(b, with, wanted); len(errs) > 0 {
		return nil, errs
	}
	if wanted.log && c.host.config.Rekor != "" {
		b.online = newLookup(c.host.config.Rekor)
	}
	b.fingerprint += fmt.Sprintf("%s %s %+v %s %q %s", Type, quorum.Fingerprint(), wanted, config.Platforms, c.host.repository.String(), c.host.config.Rekor)
	for _, name := range slices.Sorted(maps.Keys(config.Annotations)) {
		b.fingerprint += fmt.Sprintf(" %q=%q", name, config.Annotations[name])
	}
	for _, a := range config.Attestations {
		b.fingerprint += fmt.Sprintf(" %q:%q", a.PredicateType, a.CEL)
	}
	b.fingerprint += " " + c.reach
	return b, nil
}

// proofs are what a signature must come with, besides being one.
type proofs struct{ log, sct bool }

// addSigners makes the signers of the quorum's trust roots, with the trust
// material that the proofs need.
func (c *Cosign) addSigners(b *bound, with strict.Object, p proofs) (errs strict.Errors) {
	all := needs{log: p.log}
	var certified [][]trust.Root // by authority
	for _, r := range b.quorum.Roots {
		if r.ByCertificate() {
			certified = group(certified, r)
		}
	}
	demanded := make([]needs, len(certified))
	for i, roots := range certified {
		n, wrong := c.needsOf(roots[0], with, p)
		errs = append(errs, wrong...)
		demanded[i] = n
		all = needs{all.log || n.log, all.authority || n.authority, all.sct || n.sct, all.timestamp || n.timestamp, false}
	}
	if len(errs) > 0 {
		return errs
	}
	material, unavailable := c.host.material(all)
	if unavailable != nil {
		b.unavailable, b.fingerprint = unavailable, "unavailable "
		return nil //nolint:nilerr // what is not there yet is no error in the configuration
	}
	b.fingerprint = material.Fingerprint() + " "
	for _, r := range b.quorum.Roots {
		for _, key := range r.Keys {
			n := needs{log: p.log}
			b.signers = append(b.signers, &signer{material: material, needs: n, options: n.options(true), key: &key, roots: []trust.Root{r}})
		}
	}
	for i, roots := range certified {
		own := material
		if roots[0].Authority != nil {
			own = material.Only(roots[0].Authority)
		}
		b.signers = append(b.signers, &signer{material: own, needs: demanded[i], options: demanded[i].options(false), roots: roots})
	}
	return nil
}

// group adds a root to those with the same authority.
func group(groups [][]trust.Root, r trust.Root) [][]trust.Root {
	for i, g := range groups {
		if (g[0].Authority == nil) == (r.Authority == nil) && (r.Authority == nil || g[0].Authority.ID == r.Authority.ID) {
			groups[i] = append(g, r)
			return groups
		}
	}
	return append(groups, []trust.Root{r})
}

// needsOf is what signatures by certificates of the root's authority must come
// with. A short-lived certificate proves nothing without a time.
func (c *Cosign) needsOf(r trust.Root, with strict.Object, p proofs) (n needs, errs strict.Errors) {
	n = needs{log: p.log, sct: p.sct, authority: r.Authority == nil}
	if !p.log {
		n.timestamp = c.host.hasTimestamps()
		n.now = !n.timestamp && r.Authority != nil
		if !n.timestamp && r.Authority == nil {
			errs.Add(with.Key("verifyInTransparencyLog"), "is false, and the validator has no timestamp authority (%s.tsaCert or %s.trustedRoot), so that nothing tells when the short-lived certificates of the trust root %q were used",
				c.host.path, c.host.path, r.Name)
		}
	}
	if p.sct && r.Authority != nil && !c.host.hasCTLogs() {
		errs.Add(with.Key("verifySCT"), "must be false, or %s.ctLogPubkey set: the certificates of the trust root %q are not from a public Sigstore, whose certificates are logged", c.host.path, r.Name)
	}
	return n, errs
}

// options are the library's.
func (n needs) options(byKey bool) []verify.VerifierOption {
	var options []verify.VerifierOption
	if n.log {
		options = append(options, verify.WithTransparencyLog(1))
	}
	switch {
	case byKey:
		return append(options, verify.WithNoObserverTimestamps())
	case n.log:
		options = append(options, verify.WithObserverTimestamps(1))
	case n.timestamp:
		options = append(options, verify.WithSignedTimestamps(1))
	case n.now:
		options = append(options, verify.WithCurrentTime())
	}
	if n.sct {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	return options
}
