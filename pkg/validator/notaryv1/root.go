package notaryv1

import (
	"context"
	"errors"
	"fmt"

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
	// walksAtOnce is how many repositories' are looked at, of one server at a time.
	walksAtOnce = 2
)

// lineage is a root with those that it descends from.
type lineage struct {
	*dct.Root
	hashes []string // of the root itself, the one before it, and so on, as far as was looked
}

// roots are all of them.
func (l lineage) roots() Roots {
	all := Roots{Hashes: map[int64]string{}}
	for i, hash := range l.hashes {
		all.Hashes[l.Version()-int64(i)] = hash
	}
	return all
}

// root turns bytes into a root: signed by the pinned keys, or the successor of
// one that is; and the successor, too, of all that were seen before.
func (l *loader) root(ctx context.Context, raw []byte) (lineage, *validator.Error) {
	seen := l.state.Versions.of(l.key(l.name))
	if l.known != nil && l.known.root.Is(raw) && seen.precede(l.known.root.Version(), l.known.root.hashes) == nil {
		return l.known.root, nil
	}
	if failure := seen.fork(); failure != nil {
		return lineage{}, failure
	}
	newest, failure := dct.ReadRoot(raw)
	if failure != nil {
		return lineage{}, failure
	}
	w := &way{claims: []*dct.RootClaim{newest}}
	w.root, failure = newest.Pinned(l.name, l.quorum)
	behind := newest.Version() < seen.Root // the snapshot may name a newer one; if not, it is refused in the end
	if !behind {
		w.since = seen.since(newest.Version())
	}
	late, broken := l.walk(ctx, w) // the keys may have been rotated since
	switch {
	case broken != nil:
		return lineage{}, broken
	case late != nil && (w.root != nil || late.Reason.Inconclusive()):
		return lineage{}, late
	case w.root == nil:
		return lineage{}, l.unpinned(failure, newest)
	case !w.done():
		return lineage{}, validator.Errorf(validator.RolledBack, "version %d of the root of its trust data comes more than %d versions after version %d, which was seen before; %s", newest.Version(), maxRotations, w.since, howToForget)
	}
	found := lineage{Root: w.root}
	for _, c := range w.claims {
		found.hashes = append(found.hashes, c.Hash())
	}
	if behind {
		return found, nil
	}
	if failure := seen.precede(newest.Version(), found.hashes); failure != nil {
		return lineage{}, failure
	}
	return found, w.descends(l.name)
}

// way is the way back from the newest root to those that are known.
type way struct {
	claims []*dct.RootClaim // from the newest to the oldest, without a gap
	root   *dct.Root        // the newest, when it is known to descend from the pinned keys
	since  int64            // the version to which the way has to lead; 0 if there is none
}

// newest is the version that the way begins with.
func (w *way) newest() int64 { return w.claims[0].Version() }

// next is the version that is to be looked at next.
func (w *way) next() int64 { return w.newest() - int64(len(w.claims)) }

// done tells whether it goes back far enough.
func (w *way) done() bool { return w.root != nil && (w.since == 0 || w.next() < w.since) }

// walk goes back as far as needed and possible. It says why it cannot go on, if so, and
// what on the way does not hang together.
func (l *loader) walk(ctx context.Context, w *way) (late, broken *validator.Error) {
	if w.done() || w.root != nil && w.newest()-w.since > maxRotations {
		return nil, nil
	}
	if w.root == nil { // it can be anybody's
		walks := l.state.walksAt(l.server)
		if err := walks.Acquire(ctx, 1); err != nil {
			return validator.AsError(err), nil
		}
		defer walks.Release(1)
	}
	l.walked = 0
	last := max(1, w.newest()-maxRotations)
	for !w.done() && w.next() >= last {
		least := last
		if w.root != nil {
			least = max(last, w.since)
		}
		claims, late := l.rootsBefore(ctx, w.next(), least)
		for _, c := range claims {
			if w.done() {
				break // what is behind it was not verified
			}
			if w.root == nil {
				if pinned, failure := c.Pinned(l.name, l.quorum); failure == nil {
					if w.root, failure = descend(pinned, w.claims); failure != nil {
						return nil, failure
					}
				}
			}
			w.claims = append(w.claims, c)
		}
		if late != nil && !w.done() {
			return late, nil // without it, none before it can be followed
		}
	}
	return nil, nil
}

// descends makes sure that each root since the oldest that was seen is signed by the keys
// of the one before it: one that its owner has given up could have signed another.
func (w *way) descends(repository string) *validator.Error {
	if w.since == 0 {
		return nil
	}
	i := w.newest() - w.since
	if _, failure := descend(w.claims[i].Seen(repository), w.claims[:i]); failure != nil {
		return doesNotFollow(w.newest(), w.since)
	}
	return nil
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
		if ctx.Err() != nil {
			return claims, validator.AsError(ctx.Err())
		}
		if l.walked += len(f.raw); l.walked > maxRotationBytes {
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
