package trust

import (
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
	// Unavailable says why the root's material could not be read. Whatever
	// needs such a root cannot be checked.
	Unavailable error
}

// KeyConfig is a trust root as the configuration has it.
type KeyConfig struct {
	Name string `config:"name"`
	Key  string `config:"key"`
}

// LoadKeys reads trust roots of keys. The error's paths are below path.
func LoadKeys(path string, configs []KeyConfig, source Source) ([]Root, strict.Errors) {
	var errs strict.Errors
	if len(configs) == 0 {
		errs.Add(path, "is empty; without a trust root nothing can be verified")
	}
	var roots []Root
	for i, config := range configs {
		at := fmt.Sprintf("%s[%d]", path, i)
		if err := checkName(config.Name, roots); err != nil {
			errs.Add(at+".name", "%v", err)
		}
		root, err := loadKey(at+".key", config, source)
		if err != nil {
			errs = append(errs, err)
		}
		for _, earlier := range roots {
			if sharesKey(earlier, root) {
				errs.Add(at+".key", "holds a key of the trust root %q too; one signer would count as two", earlier.Name)
			}
		}
		roots = append(roots, root)
	}
	return roots, errs
}

func checkName(name string, earlier []Root) error {
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

// loadKey reads one root. A Secret that is not there, or a KMS that cannot be
// reached, makes the root unavailable; everything else that is wrong is an
// error.
func loadKey(path string, config KeyConfig, source Source) (Root, *strict.Error) {
	root := Root{Name: config.Name}
	if config.Key == "" {
		return root, strict.Errorf(path, "is missing; it must be a PEM public key, configmap://NAME/KEY or k8s://NAMESPACE/SECRET")
	}
	ref, err := ParseReference(config.Key)
	if err != nil {
		return root, strict.Errorf(path, "%v", err)
	}
	material, err := ref.Read(source)
	if _, _, isSecret := ref.Secret(); isSecret && errors.Is(err, ErrNotThere) || errors.Is(err, ErrUnavailable) {
		root.Unavailable = fmt.Errorf("%s: %w", config.Key, err)
		return root, nil
	}
	if err != nil {
		e := strict.Errorf(path, "%s: %v", config.Key, err)
		e.Dangling = errors.Is(err, ErrNotThere)
		return root, e
	}
	if root.Keys, err = ParseKeys(material); err != nil {
		if _, _, isSecret := ref.Secret(); isSecret {
			root.Unavailable = fmt.Errorf("%s %w", config.Key, err)
			return root, nil
		}
		return root, keyError(path, ref, err)
	}
	return root, nil
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
