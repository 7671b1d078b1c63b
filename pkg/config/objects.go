package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

// The ConfigMaps that hold the configuration.
const (
	PolicyName     = "config-policy"
	TrustRootsName = "config-trust-roots"
	FeaturesName   = "config-features"
	WorkloadsName  = "config-workloads"
	AlertingName   = "config-alerting"
)

// Names are those of all of them.
var Names = []string{PolicyName, TrustRootsName, FeaturesName, WorkloadsName, AlertingName}

// DefaultNamespace is where the configuration is unless somebody says
// otherwise.
const DefaultNamespace = "connaisseur"

// exampleKey documents a ConfigMap within itself; it configures nothing.
const exampleKey = "_example"

// Objects are the ConfigMaps and Secrets of one namespace, by name. They are
// not modified.
type Objects struct {
	Namespace  string
	ConfigMaps map[string]*corev1.ConfigMap
	Secrets    map[string]*corev1.Secret
	// Elsewhere gives what is outside of the cluster; nil asks nobody.
	Elsewhere Elsewhere
}

// With is the same objects with one ConfigMap replaced.
func (o Objects) With(cm *corev1.ConfigMap) Objects {
	o.ConfigMaps = maps.Clone(o.ConfigMaps)
	if o.ConfigMaps == nil {
		o.ConfigMaps = map[string]*corev1.ConfigMap{}
	}
	o.ConfigMaps[cm.Name] = cm
	return o
}

// text is an entry of a ConfigMap; empty if there is none.
func (o Objects) text(name, key string) string {
	cm := o.ConfigMaps[name]
	if cm == nil {
		return ""
	}
	if value, ok := cm.Data[key]; ok {
		return value
	}
	return string(cm.BinaryData[key])
}

// keys lists the entries of a ConfigMap but its example, sorted.
func (o Objects) keys(name string) []string {
	cm := o.ConfigMaps[name]
	if cm == nil {
		return nil
	}
	keys := slices.Collect(maps.Keys(cm.Data))
	keys = slices.AppendSeq(keys, maps.Keys(cm.BinaryData))
	keys = slices.DeleteFunc(keys, func(key string) bool { return key == exampleKey })
	slices.Sort(keys)
	return keys
}

// ConfigMapEntry implements trust.Source.
func (o Objects) ConfigMapEntry(name, key string) ([]byte, error) {
	cm := o.ConfigMaps[name]
	if cm == nil {
		return nil, fmt.Errorf("ConfigMap %s %w%s", name, trust.ErrNotThere, strict.Suggest(name, slices.Collect(maps.Keys(o.ConfigMaps))))
	}
	if value, ok := cm.Data[key]; ok {
		return []byte(value), nil
	}
	if value, ok := cm.BinaryData[key]; ok {
		return value, nil
	}
	return nil, fmt.Errorf("entry %s of ConfigMap %s %w%s", key, name, trust.ErrNotThere, strict.Suggest(key, o.keys(name)))
}

// SecretEntry implements trust.Source.
func (o Objects) SecretEntry(namespace, name, key string) ([]byte, error) {
	if namespace != o.Namespace {
		return nil, fmt.Errorf("Secret %s/%s %w", namespace, name, trust.ErrNotWatched)
	}
	secret := o.Secrets[name]
	if secret == nil {
		return nil, fmt.Errorf("Secret %s/%s %w", namespace, name, trust.ErrNotThere)
	}
	value, ok := secret.Data[key]
	if !ok {
		value, ok = []byte(secret.StringData[key]), secret.StringData[key] != ""
	}
	if !ok {
		return nil, fmt.Errorf("entry %s of Secret %s/%s %w", key, namespace, name, trust.ErrNotThere)
	}
	return value, nil
}

// recorder is a trust.Source that notes what was read, so that a change of
// just that can be noticed.
type recorder struct {
	trust.Source
	reads   map[string]string // what was asked for → a hash of what was there
	remotes map[trust.Remote]answer
}

func (r *recorder) ConfigMapEntry(name, key string) ([]byte, error) {
	value, err := r.Source.ConfigMapEntry(name, key)
	r.note("configmap/"+name+"/"+key, value, err)
	return value, err
}

func (r *recorder) SecretEntry(namespace, name, key string) ([]byte, error) {
	value, err := r.Source.SecretEntry(namespace, name, key)
	if errors.Is(err, trust.ErrNotWatched) {
		return nil, err
	}
	r.note("secret/"+namespace+"/"+name+"/"+key, value, err)
	return value, err
}

func (r *recorder) note(what string, value []byte, err error) {
	if err != nil {
		r.reads[what] = "error"
		return
	}
	r.reads[what] = hash(string(value))
}

// replay reads again what was read before.
func replay(source trust.Source, reads map[string]string) {
	for what := range reads {
		if where, ok := remoteOf(what); ok {
			_, _ = source.Remote(where)
			continue
		}
		switch parts := strings.Split(what, "/"); {
		case parts[0] == "configmap" && len(parts) == 3:
			_, _ = source.ConfigMapEntry(parts[1], parts[2])
		case parts[0] == "secret" && len(parts) == 4:
			_, _ = source.SecretEntry(parts[1], parts[2], parts[3])
		case strings.HasPrefix(what, entriesOf):
			if secrets, ok := source.(builtin.SecretSource); ok {
				_, _ = secrets.SecretEntries(strings.TrimPrefix(what, entriesOf))
			}
		}
	}
}

// edition is which of their versions the ConfigMaps have.
func (o Objects) edition() string {
	var b strings.Builder
	for _, name := range Names {
		if cm := o.ConfigMaps[name]; cm != nil {
			b.WriteString(" " + cm.ResourceVersion)
		}
	}
	return b.String()
}

// revision identifies a configuration by its content: the policy, the features, the
// workloads, where findings go, and what was read for them.
func revision(o Objects, reads map[string]string) string {
	var b strings.Builder
	for _, name := range []string{PolicyName, FeaturesName, WorkloadsName, AlertingName} {
		for _, key := range o.keys(name) {
			fmt.Fprintf(&b, "%q %q %q\n", name, key, o.text(name, key))
		}
	}
	for _, what := range slices.Sorted(maps.Keys(reads)) {
		fmt.Fprintf(&b, "%q %s\n", what, reads[what])
	}
	return hash(b.String())[:12]
}
