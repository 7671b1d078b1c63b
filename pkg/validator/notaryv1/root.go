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
// one that is; and a successor, too, of the one that was seen before.
func (l *loader) root(ctx context.Context, raw []byte) (*dct.Root, *validator.Error) {
	newest, failure := dct.ReadRoot(raw)
	if failure != nil {
		return nil, failure
	}
	w := &way{claims: []*dct.RootClaim{newest}, before: l.state.Versions.of(l.key(l.name))}
	pinned, failure := newest.Pinned(l.name, l.quorum)
	w.root = pinned
	if newest.Version() > 1 && !w.done() {
		// Its keys may have been rotated since.
		if late := l.walk(ctx, w); late != nil {
			return nil, late
		}
	}
	if w.root == nil {
		return nil, l.unpinned(failure, newest)
	}
	return w.root, w.descends(l.name)
}

// way is the way back from the newest root to those that are known.
type way struct {
	claims []*dct.RootClaim // from the newest to the oldest, without a gap
	root   *dct.Root        // the newest, when it is known to descend from the pinned keys
	before Seen
}

// newest is the version that the way begins with.
func (w *way) newest() int64 { return w.claims[0].Version() }

// since is the version that was seen, if the newest is a later one; otherwise 0.
func (w *way) since() int64 {
	if w.before.RootHash == "" || w.before.Root >= w.newest() {
		return 0
	}
	return w.before.Root
}

// next is the version that is to be looked at next.
func (w *way) next() int64 { return w.newest() - int64(len(w.claims)) }

// done tells whether it goes back far enough.
func (w *way) done() bool { return w.root != nil && (w.since() == 0 || w.next() < w.since()) }

// walk goes back as far as needed and possible.
func (l *loader) walk(ctx context.Context, w *way) *validator.Error {
	if err := walks.Acquire(ctx, 1); err != nil {
		return validator.AsError(err)
	}
	defer walks.Release(1)
	l.walked = 0
	last := max(1, w.newest()-maxRotations)
	for !w.done() && w.next() >= last {
		least := last
		if w.root != nil {
			least = max(last, w.since())
		}
		claims, late := l.rootsBefore(ctx, w.next(), least)
		for _, c := range claims {
			if pinned, err := c.Pinned(l.name, l.quorum); err == nil && w.root == nil {
				root, failure := descend(pinned, w.claims)
				if failure != nil {
					return failure
				}
				w.root = root
			}
			w.claims = append(w.claims, c)
		}
		if late != nil {
			if late.Reason.Inconclusive() {
				return late
			}
			return nil // without it, none before it can be followed
		}
	}
	return nil
}

// descends refuses a root that does not descend from the one that was seen: a key that
// its owner has given up since could have signed it.
func (w *way) descends(repository string) *validator.Error {
	since := w.since()
	if since == 0 {
		return nil
	}
	if i := w.newest() - since; i < int64(len(w.claims)) {
		if seen, ok := w.claims[i].Known(repository, w.before.RootHash); ok {
			if _, failure := descend(seen, w.claims[:i]); failure == nil {
				return nil
			}
		}
	}
	return validator.Errorf(validator.RolledBack, "version %d of the root of its trust data does not follow from version %d, which was seen before; %s", w.newest(), since, howToForget)
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

// rootsBefore fetches a few versions of the root, from the given one down to the least
// that is wanted. What is behind one that cannot be used is left out.
func (l *loader) rootsBefore(ctx context.Context, version, least int64) ([]*dct.RootClaim, *validator.Error) {
	var names []string
	for v := version; v >= least && len(names) < rotationsAtOnce; v-- {
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
