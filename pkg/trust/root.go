package trust

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// DefaultName is the trust root that is meant where a rule names none.
const DefaultName = "default"

// All stands for all of a validator's trust roots.
const All = "*"

// Root is a named trust root. It is immutable.
type Root struct {
	Name string
	// Keys are those of which one must have signed.
	Keys []Key
	// Identity is whose certificates are trusted; nil if the root is of keys,
	// or trusts whoever has a certificate of the authority.
	Identity *Identity
	// Authority has issued the certificates; nil if the root is of keys, or
	// the authority is that of the validator's Sigstore.
	Authority *Authority
	// Unavailable says why the root's material could not be read. Whatever
	// needs such a root cannot be checked.
	Unavailable error
}

// ByCertificate tells whether signers are told by a certificate rather than by
// a key.
func (r Root) ByCertificate() bool { return r.Identity != nil || r.Authority != nil }

// RootConfig is a trust root as the configuration has it: a key, an identity,
// an authority's certificates, or an identity of that authority.
type RootConfig struct {
	KeyConfig `config:",squash"`
	Keyless   *KeylessConfig `config:"keyless"`
	Cert      string         `config:"cert"`
	CertChain string         `config:"certChain"`
}

// KeyConfig is a trust root of keys as the configuration has it.
type KeyConfig struct {
	Name string `config:"name"`
	Key  string `config:"key"`
}

// LoadKeys reads trust roots of keys. The errors' paths are below path.
func LoadKeys(path string, configs []KeyConfig, source Source) ([]Root, strict.Errors) {
	roots := make([]RootConfig, len(configs))
	for i, config := range configs {
		roots[i].KeyConfig = config
	}
	return LoadRoots(path, roots, source)
}

// LoadRoots reads trust roots of any kind. The errors' paths are below path.
func LoadRoots(path string, configs []RootConfig, source Source) ([]Root, strict.Errors) {
	var errs strict.Errors
	if len(configs) == 0 {
		errs.Add(path, "is empty; without a trust root nothing can be verified")
	}
	var roots []Root
	for i, config := range configs {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := CheckName(config.Name, roots); err != nil {
			errs.Add(at+".name", "%v", err)
		}
		root, bad := loadRoot(at, config, source)
		errs = append(errs, bad...)
		for _, earlier := range roots {
			if sharesKey(earlier, root) {
				errs.Add(at+".key", "holds a key of the trust root %q too; one signer would count as two", earlier.Name)
			}
			if root.ByCertificate() && sameCertificates(earlier, root) {
				errs.Add(at, "is the same as the trust root %q; one signer would count as two", earlier.Name)
			}
		}
		roots = append(roots, root)
	}
	return roots, errs
}

func loadRoot(path string, config RootConfig, source Source) (Root, strict.Errors) {
	root := Root{Name: config.Name}
	if config.Keyless == nil && config.Cert == "" && config.CertChain == "" {
		root, err := loadKey(path+".key", config.KeyConfig, source)
		if err != nil {
			return root, strict.Errors{err}
		}
		return root, nil
	}
	var errs strict.Errors
	if config.Key != "" {
		errs.Add(path+".key", "cannot stand beside keyless or cert: a trust root is a key, or whoever has a certificate")
	}
	if config.Keyless != nil {
		var more strict.Errors
		root.Identity, more = parseIdentity(path+".keyless", *config.Keyless, config.Cert == "")
		errs = append(errs, more...)
	}
	if config.Cert == "" && config.CertChain != "" {
		errs.Add(path+".certChain", "needs cert, the certificate that is trusted and that these lead to")
	}
	if config.Cert != "" {
		authority, more := loadAuthority(path, config, source)
		root.Authority, root.Unavailable = authority.Value, authority.Unavailable
		errs = append(errs, more...)
	}
	return root, errs
}

// loadAuthority reads the certificates of a root's own authority.
func loadAuthority(path string, config RootConfig, source Source) (Loaded[*Authority], strict.Errors) {
	missing := Loaded[*Authority]{Value: &Authority{}}
	anchors, err := Load(path+".cert", config.Cert, source, ParseAnchors)
	if err != nil {
		return missing, strict.Errors{err}
	}
	intermediates := Loaded[[]*x509.Certificate]{}
	if config.CertChain != "" {
		if intermediates, err = Load(path+".certChain", config.CertChain, source, parseIntermediates); err != nil {
			return missing, strict.Errors{err}
		}
	}
	if missing.Unavailable = cmp.Or(anchors.Unavailable, intermediates.Unavailable); missing.Unavailable != nil {
		return missing, nil //nolint:nilerr // what is not there yet is no error in the configuration
	}
	return Loaded[*Authority]{Value: newAuthority(anchors.Value, intermediates.Value)}, nil
}

// sameCertificates tells whether two roots trust the very same signers. Where
// they overlap in another way, Distinct sees to it that each counts once.
func sameCertificates(a, b Root) bool {
	id := func(r Root) (identity, authority string) {
		if r.Identity != nil {
			identity = r.Identity.String()
		}
		if r.Authority != nil {
			authority = r.Authority.ID
		}
		return identity, authority
	}
	identityA, authorityA := id(a)
	identityB, authorityB := id(b)
	return a.ByCertificate() && a.Unavailable == nil && b.Unavailable == nil && identityA == identityB && authorityA == authorityB
}

// CheckName tells whether a trust root can have the name beside those that stand
// before it.
func CheckName(name string, earlier []Root) error {
	switch {
	case name == "":
		return errors.New("is missing")
	case name == All:
		return errors.New(`must not be "*", which stands for all trust roots`)
	case slices.ContainsFunc(earlier, func(r Root) bool { return r.Name == name }):
		return fmt.Errorf("another trust root is named %q already", name)
	}
	return nil
}

// loadKey reads one root of keys.
func loadKey(path string, config KeyConfig, source Source) (Root, *strict.Error) {
	root := Root{Name: config.Name}
	if config.Key == "" {
		return root, strict.Errorf(path, "is missing; "+expected)
	}
	keys, err := Load(path, config.Key, source, ParseKeys)
	root.Keys, root.Unavailable = keys.Value, keys.Unavailable
	return root, err
}

// Loaded is trust material, or why it is not available, yet.
type Loaded[T any] struct {
	Value       T
	Unavailable error
}

// Load reads trust material from where reference says. Material that is not
// there yet but may come by itself, in a Secret or from outside of the cluster,
// is unavailable; everything else that is wrong is an error.
func Load[T any](path, reference string, source Source, parse func([]byte) (T, error)) (Loaded[T], *strict.Error) {
	ref, err := ParseReference(reference)
	if err != nil {
		return Loaded[T]{}, strict.Errorf(path, "%v", err)
	}
	material, err := ref.Read(source)
	_, _, isSecret := ref.Secret()
	_, isKMS := ref.KMS()
	if isSecret && errors.Is(err, ErrNotThere) || errors.Is(err, ErrUnavailable) {
		return Loaded[T]{Unavailable: fmt.Errorf("%s: %w", reference, err)}, nil
	}
	if err != nil {
		e := strict.Errorf(path, "%s: %v", reference, err)
		e.Dangling = errors.Is(err, ErrNotThere)
		return Loaded[T]{}, e
	}
	parsed, err := parse(material)
	switch {
	case err == nil:
		return Loaded[T]{Value: parsed}, nil
	case isSecret || isKMS:
		return Loaded[T]{Unavailable: fmt.Errorf("%s %w", reference, err)}, nil
	}
	return Loaded[T]{}, keyError(path, ref, err)
}

// keyError puts the blame where the broken key stands.
func keyError(path string, ref Reference, err error) *strict.Error {
	name, key, ok := ref.ConfigMap()
	if !ok {
		return strict.Errorf(path, "%v", err)
	}
	return &strict.Error{Source: name, Path: key, Message: fmt.Sprintf("%v (needed by %s)", err, path)}
}

func sharesKey(a, b Root) bool {
	return slices.ContainsFunc(a.Keys, func(k Key) bool {
		return slices.ContainsFunc(b.Keys, func(other Key) bool { return other.ID == k.ID })
	})
}

// Names lists the names of roots.
func Names(roots []Root) []string {
	names := make([]string, len(roots))
	for i, root := range roots {
		names[i] = root.Name
	}
	return names
}
