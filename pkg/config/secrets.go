package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

// entriesOf is what begins the record of a Secret that was read whole.
const entriesOf = "secret-entries/"

var (
	_ builtin.SecretSource = Objects{}
	_ builtin.SecretSource = (*recorder)(nil)
)

// SecretEntries implements builtin.SecretSource.
func (o Objects) SecretEntries(name string) (map[string][]byte, error) {
	secret := o.Secrets[name]
	if secret == nil {
		return nil, fmt.Errorf("Secret %s/%s %w", o.Namespace, name, trust.ErrNotThere)
	}
	entries := maps.Clone(secret.Data)
	if entries == nil {
		entries = map[string][]byte{}
	}
	for key, value := range secret.StringData { // in files only
		entries[key] = []byte(value)
	}
	return entries, nil
}

// SecretEntries implements builtin.SecretSource.
func (r *recorder) SecretEntries(name string) (map[string][]byte, error) {
	source, ok := r.Source.(builtin.SecretSource)
	if !ok {
		return nil, fmt.Errorf("Secret %s %w", name, trust.ErrNotThere)
	}
	entries, err := source.SecretEntries(name)
	var content strings.Builder
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		fmt.Fprintf(&content, "%q %q\n", key, entries[key])
	}
	r.note(entriesOf+name, []byte(content.String()), err)
	return entries, err
}
