package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Set is the logins that somebody has. It is immutable and implements
// authn.ContextKeychain; the zero value has none.
type Set struct {
	logins []login
	// broken is why a part could not be read; what no login covers may have
	// been meant by it.
	broken *validator.Error
	sums   []byte // hashes of what it was read from
}

// login is what a scope is logged in to with.
type login struct {
	scope
	config authn.AuthConfig
	broken *validator.Error // why there is none
}

var _ authn.ContextKeychain = Set{}

// Resolve implements authn.Keychain.
func (s Set) Resolve(of authn.Resource) (authn.Authenticator, error) {
	return s.ResolveContext(context.Background(), of)
}

// ResolveContext gives the login with the longest path that covers a
// repository, the first of several. A login that could not be read is an error
// and not anonymous access, and so is what none covers if something could not
// be read that may have.
func (s Set) ResolveContext(_ context.Context, of authn.Resource) (authn.Authenticator, error) {
	host, repository := place(of)
	var best *login
	for i := range s.logins {
		l := &s.logins[i]
		if l.covers(host, repository) && (best == nil || l.narrower(best.scope)) {
			best = l
		}
	}
	switch {
	case best == nil && s.broken != nil:
		return nil, s.broken
	case best == nil:
		return authn.Anonymous, nil
	case best.broken != nil:
		return nil, best.broken
	}
	return authn.FromConfig(best.config), nil
}

// place is the canonical host and the repository that a login is wanted for.
func place(of authn.Resource) (host, repository string) {
	registry := of.RegistryStr()
	if name := of.String(); len(name) > len(registry)+1 && name[:len(registry)] == registry {
		repository = name[len(registry)+1:]
	}
	return image.CanonicalHost(registry), repository
}

// ID identifies the set by its content.
func (s Set) ID() string {
	sum := sha256.Sum256(s.sums)
	return hex.EncodeToString(sum[:])
}

// Join is all logins of several sets; of two for the same, the first one's.
func Join(sets ...Set) Set {
	var all Set
	for _, s := range sets {
		all.logins = append(all.logins, s.logins...)
		all.sums = append(all.sums, s.sums...)
		if all.broken == nil {
			all.broken = s.broken
		}
	}
	return all
}

// Readable is the same without what could not be read: as if it was not there.
func (s Set) Readable() Set {
	out := Set{sums: s.sums}
	for _, l := range s.logins {
		if l.broken == nil {
			out.logins = append(out.logins, l)
		}
	}
	return out
}

// unreadable is why there is no login. It never says what was read.
func unreadable(name, format string, args ...any) *validator.Error {
	return validator.Errorf(validator.RegistryUnauthorized, "the pull credentials in %s cannot be used: %s", name, fmt.Sprintf(format, args...))
}
