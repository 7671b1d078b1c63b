package notaryv1

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/semaphore"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

const (
	// maxRotations bounds the versions of a root that are looked at to get from
	// the pinned keys to the newest.
	maxRotations = 64
	// rotationsAtOnce is how many are fetched at a time.
	rotationsAtOnce = 8
	// maxRotationBytes bounds all of them together: who sends them has proven
	// nothing yet, and an honest one takes 3 KiB.
	maxRotationBytes = 512 << 10
	// walksAtOnce is how many repositories' are looked at, at a time.
	walksAtOnce = 2
)

var walks = semaphore.NewWeighted(walksAtOnce)

// root turns bytes into a root: signed by the pinned keys, or the successor of
// one that is.
func (l *loader) root(ctx context.Context, raw []byte) (*dct.Root, *validator.Error) {
	newest, failure := dct.ReadRoot(raw)
	if failure != nil {
		return nil, failure
	}
	root, failure := newest.Pinned(l.name, l.quorum)
	if failure == nil {
		return root, nil
	}
	if newest.Version() <= 1 {
		return nil, l.unpinned(failure, newest)
	}
	// Its keys may have been rotated since.
	if err := walks.Acquire(ctx, 1); err != nil {
		return nil, validator.AsError(err)
	}
	defer walks.Release(1)
	l.walked = 0
	successors := []*dct.RootClaim{newest}
	for next := newest.Version() - 1; next >= max(1, newest.Version()-maxRotations); next -= rotationsAtOnce {
		claims, late := l.rootsBefore(ctx, next)
		for _, c := range claims {
			if root, err := c.Pinned(l.name, l.quorum); err == nil {
				return descend(root, successors)
			}
			successors = append(successors, c)
		}
		if late != nil {
			if late.Reason.Inconclusive() {
				return nil, late
			}
			break // without it, none before it can be followed
		}
	}
	return nil, l.unpinned(failure, newest)
}

// unpinned says of whom the root is, for whoever pins it.
func (l *loader) unpinned(failure *validator.Error, newest *dct.RootClaim) *validator.Error {
	failure.Message = fmt.Sprintf("the root of the trust data of %s: %s", l.name, failure.Message)
	if keys := newest.Keys(); len(keys) > 0 {
		failure.Message += fmt.Sprintf(" (it has the root key %.12s)", keys[0].ID)
	}
	return failure
}

// descend goes from a root to the newest of its successors, which are given from
// the newest to the oldest.
func descend(root *dct.Root, successors []*dct.RootClaim) (*dct.Root, *validator.Error) {
	for i := len(successors) - 1; i >= 0; i-- {
		next, failure := root.Successor(successors[i])
		if failure != nil {
			return nil, failure
		}
		root = next
	}
	return root, nil
}

// rootsBefore fetches a few versions of the root, from the given one down. What
// is behind one that cannot be used is left out.
func (l *loader) rootsBefore(ctx context.Context, version int64) ([]*dct.RootClaim, *validator.Error) {
	var names []string
	for v := version; v >= 1 && len(names) < rotationsAtOnce; v-- {
		names = append(names, fmt.Sprintf("%d.%s", v, dct.RootRole))
	}
	got := &files{}
	got.fetch(ctx, l, names...)
	var claims []*dct.RootClaim
	for i, name := range names {
		f := got.of(name)
		if f.err != nil {
			return claims, asMissing(name, f.err)
		}
		if l.walked += len(f.raw); l.walked > maxRotationBytes || ctx.Err() != nil {
			return claims, validator.Errorf(validator.TooLarge, "the versions of the root are larger than %d bytes", maxRotationBytes)
		}
		c, failure := dct.ReadRoot(f.raw)
		if failure != nil {
			return claims, failure
		}
		if c.Version() != version-int64(i) {
			return claims, validator.Errorf(validator.InvalidTrustData, "the server has another version of the root under the name %s", name)
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// FetchRoot fetches what a server says is a repository's root. It is not
// verified.
func FetchRoot(ctx context.Context, from Server, server, repository string) (*dct.RootClaim, *validator.Error) {
	raw, err := from.TrustData(ctx, server, repository, dct.RootRole+".json", dct.MaxRootBytes, true)
	if errors.Is(err, registry.ErrNoTrustData) {
		return nil, validator.Errorf(validator.NoSignature, "notary server %s has no trust data for %s", server, repository)
	}
	if err != nil {
		return nil, validator.AsError(err)
	}
	return dct.ReadRoot(raw)
}
