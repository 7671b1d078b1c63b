package trust

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// DefaultSecretKey is the entry of a Secret that holds a public key, as
// `cosign generate-key-pair k8s://…` writes it.
const DefaultSecretKey = "cosign.pub"

const (
	configMapScheme = "configmap://"
	secretScheme    = "k8s://"
)

// Source gives trust material to Resolve. Implementations return
// ErrNotThere where there is no such object or entry.
type Source interface {
	ConfigMapEntry(name, key string) ([]byte, error)
	SecretEntry(namespace, name, key string) ([]byte, error)
	// Remote returns what was last fetched from outside of the cluster, never
	// waiting for more than a moment. An error that is ErrUnavailable says that
	// it was not, yet.
	Remote(where Remote) ([]byte, error)
}

// ErrNotThere is the cause of an error about an object or an entry that does
// not exist (yet).
var ErrNotThere = errors.New("does not exist")

// ErrNotWatched is the error for a Secret of a namespace that is not watched,
// and so has to be fetched.
var ErrNotWatched = errors.New("is in a namespace that is not watched")

// Reference is where trust material is.
type Reference struct {
	inline    string
	configMap bool
	namespace string
	name      string
	key       string
	kms       string
}

// expected says what a reference can be.
const expected = "it must be a PEM public key, configmap://NAME/KEY, k8s://NAMESPACE/SECRET or a KMS URI (awskms://, gcpkms://, azurekms://, hashivault://)"

// ParseReference reads a reference as the configuration has it.
func ParseReference(s string) (Reference, error) {
	switch {
	case strings.Contains(s, "-----BEGIN "), strings.HasPrefix(strings.TrimSpace(s), "{"): // PEM, JSON
		return Reference{inline: s}, nil
	case strings.HasPrefix(s, configMapScheme):
		name, key, ok := strings.Cut(strings.TrimPrefix(s, configMapScheme), "/")
		if !ok || !isObjectName(name) || !isEntryName(key) {
			return Reference{}, fmt.Errorf("%q must read configmap://NAME/KEY", s)
		}
		return Reference{configMap: true, name: name, key: key}, nil
	case strings.HasPrefix(s, secretScheme):
		parts := strings.Split(strings.TrimPrefix(s, secretScheme), "/")
		if len(parts) == 2 {
			parts = append(parts, DefaultSecretKey)
		}
		if len(parts) != 3 || !isObjectName(parts[0]) || !isObjectName(parts[1]) || !isEntryName(parts[2]) {
			return Reference{}, fmt.Errorf("%q must read k8s://NAMESPACE/SECRET or k8s://NAMESPACE/SECRET/KEY", s)
		}
		return Reference{namespace: parts[0], name: parts[1], key: parts[2]}, nil
	case kmsScheme(s):
		if err := checkKMS(s); err != nil {
			return Reference{}, err
		}
		return Reference{kms: s}, nil
	case strings.TrimSpace(s) == "":
		return Reference{}, errors.New("is empty; " + expected)
	}
	return Reference{}, fmt.Errorf("%.40q is not supported; %s", s, expected)
}

// A name that Kubernetes does not allow is refused, since names become parts of
// paths.
func isObjectName(s string) bool { return len(validation.IsDNS1123Subdomain(s)) == 0 }

func isEntryName(s string) bool { return len(validation.IsConfigMapKey(s)) == 0 }

// ConfigMap is the ConfigMap's name and entry, and whether it is one.
func (r Reference) ConfigMap() (name, key string, ok bool) { return r.name, r.key, r.configMap }

// Secret is the Secret's namespace and name, and whether it is one.
func (r Reference) Secret() (namespace, name string, ok bool) {
	return r.namespace, r.name, !r.configMap && r.name != ""
}

// KMS is the URI of a key in a KMS, and whether it is one.
func (r Reference) KMS() (uri string, ok bool) { return r.kms, r.kms != "" }

// Read fetches the material.
func (r Reference) Read(source Source) ([]byte, error) {
	switch {
	case r.inline != "":
		return []byte(r.inline), nil
	case r.configMap:
		return source.ConfigMapEntry(r.name, r.key)
	case r.kms != "":
		return source.Remote(Remote{KMS: r.kms})
	case r.name != "":
		entry, err := source.SecretEntry(r.namespace, r.name, r.key)
		if errors.Is(err, ErrNotWatched) {
			return source.Remote(Remote{Secret: r.namespace + "/" + r.name + "/" + r.key})
		}
		return entry, err
	}
	return nil, errors.New("the zero reference refers to nothing")
}
