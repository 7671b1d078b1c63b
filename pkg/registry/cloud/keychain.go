package cloud

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/semaphore"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// lifetime is how long a login is used. Those of the clouds hold for an
	// hour and more.
	lifetime = 10 * time.Minute
	// maxHosts bounds the logins that are remembered: anybody can name a host.
	maxHosts = 256
	// maxConcurrent bounds how many logins are being fetched from each cloud,
	// whose own clients end when they like.
	maxConcurrent = 16
)

// provider is a cloud.
type provider struct {
	name string
	// owns tells whether a host, canonical, is a registry of the cloud's own
	// that takes the cloud's credentials. Nobody else may be able to get such a
	// name.
	owns func(host string) bool
	// login gets the credentials for such a host. Without any that is not an
	// error, it returns nil.
	login func(ctx context.Context, host string) (*authn.AuthConfig, error)
	slots *semaphore.Weighted
}

// Keychain implements authn.ContextKeychain with the credentials of the clouds.
// It is safe for concurrent use.
type Keychain struct {
	providers []provider
	now       func() time.Time
	known     *lru.Cache[string, known]
}

type known struct {
	login   authn.AuthConfig
	expires time.Time
}

var _ authn.ContextKeychain = (*Keychain)(nil)

// New makes a keychain for Amazon ECR, Azure Container Registry, and Google's
// Artifact and Container Registry.
func New() *Keychain { return newKeychain(amazon(), azure(), google()) }

func newKeychain(providers ...provider) *Keychain {
	cache, err := lru.New[string, known](maxHosts)
	if err != nil {
		panic(err) // a size that is not positive
	}
	for i := range providers {
		providers[i].slots = semaphore.NewWeighted(maxConcurrent)
	}
	return &Keychain{providers: providers, now: time.Now, known: cache}
}

// Resolve implements authn.Keychain.
func (k *Keychain) Resolve(of authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), of)
}

// ResolveContext gives the login for a registry of one of the clouds, and
// nothing for any other.
func (k *Keychain) ResolveContext(ctx context.Context, of authn.Resource) (authn.Authenticator, error) {
	host := image.CanonicalHost(of.RegistryStr())
	for _, p := range k.providers {
		if p.owns(host) {
			return k.ask(ctx, p, host)
		}
	}
	return authn.Anonymous, nil
}

func (k *Keychain) ask(ctx context.Context, p provider, host string) (authn.Authenticator, error) {
	if found, ok := k.known.Get(host); ok && k.now().Before(found.expires) {
		return authn.FromConfig(found.login), nil
	}
	login, err := p.fetch(ctx, host)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		// The clouds' texts hold requests, and those may hold tokens.
		return nil, &validator.Error{
			Reason:  validator.RegistryUnauthorized,
			Message: fmt.Sprintf("%s gives no credentials for registry %s; check what the webhook's service account may do there", p.name, host),
			Err:     err,
		}
	case login == nil || *login == (authn.AuthConfig{}):
		return authn.Anonymous, nil
	}
	k.known.Add(host, known{login: *login, expires: k.now().Add(lifetime)})
	return authn.FromConfig(*login), nil
}

type fetched struct {
	login *authn.AuthConfig
	err   error
}

// fetch asks the cloud, no longer than the context lasts. Its clients do not
// all end with a context, so that some go on for a while, in a bounded number.
func (p provider) fetch(ctx context.Context, host string) (*authn.AuthConfig, error) {
	if err := p.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	answer := make(chan fetched, 1)
	go func() {
		defer p.slots.Release(1)
		answer <- p.guarded(ctx, host)
	}()
	select {
	case got := <-answer:
		return got.login, got.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// guarded makes a panic of a cloud's client an error.
func (p provider) guarded(ctx context.Context, host string) (got fetched) {
	defer func() {
		if r := recover(); r != nil {
			got = fetched{err: fmt.Errorf("panic: %v", r)}
		}
	}()
	login, err := p.login(ctx, host)
	return fetched{login, err}
}
