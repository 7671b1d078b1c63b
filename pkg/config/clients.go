package config

import (
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

// WithPullSecrets is the builder with somebody who knows the pull secrets of
// workloads.
func (b *Builder) WithPullSecrets(p builtin.PullSecrets) *Builder {
	b.pulls = p
	return b
}

// WithLogins is the builder with logins for validators that have none of their
// own.
func (b *Builder) WithLogins(set credentials.Set) *Builder {
	b.logins = &set
	return b
}

// At is the builder with another clock, by which the expiry of trust data is
// judged.
func (b *Builder) At(now func() time.Time) *Builder {
	b.now = now
	return b
}

// trust gives the client that trusts certificates besides what the base does,
// and notes that it is used.
func (b *Builder) trust(base *registry.Client, cas []byte, used map[string]bool) (*registry.Client, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := hash(string(cas))
	used[key] = true
	if base != b.client {
		return base.Trusting(cas) // of a configuration that is refused anyway
	}
	if client, ok := b.trusting[key]; ok {
		return client, nil
	}
	client, err := base.Trusting(cas)
	if err == nil {
		b.trusting[key] = client
	}
	return client, err
}

// release closes the clients that the newest good configuration does not use.
func (b *Builder) release(used map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closeTrusting(used)
}

func (b *Builder) closeTrusting(but map[string]bool) {
	for key, client := range b.trusting {
		if !but[key] {
			client.Close() // which those who use it still can
			delete(b.trusting, key)
		}
	}
}
