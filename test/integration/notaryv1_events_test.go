//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"

	"github.com/sse-secure-systems/connaisseur/test/clients"
)

// Roles of repositories. Rules say alice for targets/alice.
const (
	targets   = "targets"
	releases  = "targets/releases"
	alice     = "targets/alice"
	bob       = "targets/bob"
	snapshots = "snapshot"
	stamps    = "timestamp"
	rootRole  = "root"
)

// What is signed.
var one, two = "sha256:" + strings.Repeat("1", 64), "sha256:" + strings.Repeat("2", 64)

// begins publishes the repository, with a client and keys that are its own. One
// that was deleted begins anew with the keys it had.
func begins(ctx context.Context, r *notarized) (err error) {
	if r.owner == nil {
		if r.owner, err = r.server.Client("owner"); err != nil {
			return err
		}
		r.signers = map[string]*clients.NotaryClient{targets: r.owner}
	}
	if err := r.owner.Init(ctx, r.gun); err != nil {
		return err
	}
	return r.noteRoot(ctx)
}

// noteRoot adds the root key to those of the repository if it is a new one. The
// client has its own rotation of it only from what it reads from the server.
func (r *notarized) noteRoot(ctx context.Context) error {
	if err := r.owner.Run(ctx, "list", r.gun); err != nil {
		return err
	}
	key, err := r.owner.RootKey(r.gun)
	if n := len(r.roots); err == nil && (n == 0 || r.roots[n-1] != string(key)) {
		r.roots = append(r.roots, string(key))
	}
	return err
}

// deleted has the server forget the repository.
func deleted(ctx context.Context, r *notarized) error { return r.owner.Delete(ctx, r.gun) }

// signs publishes a tag in a role, by whom the role was given to.
func signs(role, tag, digest string) event {
	return by(role, func(ctx context.Context, gun string, signer *clients.NotaryClient) error {
		return signer.Sign(ctx, gun, tag, digest, 1234, role)
	})
}

// revokes publishes that a role has the tag no more.
func revokes(role, tag string) event {
	return by(role, func(ctx context.Context, gun string, signer *clients.NotaryClient) error {
		return signer.Remove(ctx, gun, tag, role)
	})
}

// witnesses signs again what a role has, by a new key.
func witnesses(role string) event {
	return by(role, func(ctx context.Context, gun string, signer *clients.NotaryClient) error {
		return signer.Run(ctx, "witness", gun, role, "--publish")
	})
}

// by has the signer of a role do something.
func by(role string, do func(ctx context.Context, gun string, signer *clients.NotaryClient) error) event {
	return func(ctx context.Context, r *notarized) error {
		signer, ok := r.signers[role]
		if !ok {
			return fmt.Errorf("nobody signs for %s", role)
		}
		return do(ctx, r.gun, signer)
	}
}

// delegates gives a role to a client of its own, with a new key.
func delegates(role string, form clients.DelegationKey) event {
	return func(ctx context.Context, r *notarized) error {
		signer, err := r.server.Client("signer")
		if err != nil {
			return err
		}
		r.signers[role] = signer
		return r.owner.AddDelegation(ctx, r.gun, role, signer, form)
	}
}

// delegatesToItself gives a role to the owner, who can then delegate further.
func delegatesToItself(role string) event {
	return func(ctx context.Context, r *notarized) error {
		r.signers[role] = r.owner
		return r.owner.AddDelegation(ctx, r.gun, role, r.owner, clients.PlainKey)
	}
}

// narrows has a role be for tags with a prefix only.
func narrows(role, prefix string) event {
	return func(ctx context.Context, r *notarized) error {
		if err := r.owner.Run(ctx, "delegation", "remove", r.gun, role, "--all-paths", "--publish"); err != nil {
			return err
		}
		return r.owner.Run(ctx, "delegation", "add", r.gun, role, "--paths", prefix, "--publish")
	}
}

// withdraws takes a role away.
func withdraws(role string) event {
	return func(ctx context.Context, r *notarized) error { return r.owner.RemoveDelegation(ctx, r.gun, role) }
}

// rotates gives a role a new key, which is the owner's; rotatesToServer one that
// is the server's.
func rotates(role string) event         { return rotation(role, false) }
func rotatesToServer(role string) event { return rotation(role, true) }

func rotation(role string, toServer bool) event {
	return func(ctx context.Context, r *notarized) error {
		if err := r.owner.Rotate(ctx, r.gun, role, toServer); err != nil {
			return err
		}
		return r.noteRoot(ctx)
	}
}
