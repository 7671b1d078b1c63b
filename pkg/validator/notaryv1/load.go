package notaryv1

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

// flightTimeout bounds the loading of a repository, whoever waits for it.
const flightTimeout = 30 * time.Second

// snapshotWeight is how much more memory a snapshot takes than its file.
const snapshotWeight = 6

// load gives a repository's trust data as it is now. Those who want the same at
// the same time share it.
func (b *Bound) load(ctx context.Context, name string, who validator.Identity) (*repository, *validator.Error) {
	flight := b.flights.DoChan(fmt.Sprintf("%q %q", name, who), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		found, failure := b.loadAs(ctx, name, who)
		if failure != nil {
			return nil, failure
		}
		return found, nil
	})
	select {
	case r := <-flight:
		if r.Err != nil {
			return nil, validator.AsError(r.Err)
		}
		return r.Val.(*repository), nil
	case <-ctx.Done():
		return nil, validator.AsError(ctx.Err())
	}
}

// loadAs loads a repository as somebody sees it. A panic is the failure of this
// repository, and nothing else.
func (b *Bound) loadAs(ctx context.Context, name string, who validator.Identity) (found *repository, failure *validator.Error) {
	defer func() {
		if p := recover(); p != nil {
			found, failure = nil, validator.Errorf(validator.Internal, "the trust data of %s cannot be looked at (panic: %v)", name, p)
		}
	}()
	from, err := b.access(ctx, who)
	if err != nil {
		return nil, validator.AsError(err)
	}
	l := &loader{Bound: b, from: from, name: name, now: b.now()}
	key := b.trust + " " + name
	before, _ := b.state.repositories.get(key)
	found, failure = l.latest(ctx, before)
	if failure != nil && l.again(failure) {
		// Somebody publishes, or a cache on the way is behind.
		found, failure = l.latest(ctx, nil)
	}
	if failure != nil {
		return nil, failure
	}
	b.state.repositories.put(key, found)
	return found, nil
}

// key is what the versions of a repository are remembered by.
func (b *Bound) key(name string) string { return VersionsKey(b.server, name) }

// loader loads the trust data of one repository.
type loader struct {
	*Bound
	from  Server
	name  string
	now   time.Time
	mixed bool // files did not belong together
	// known is what was verified last; nil if all is to be verified anew.
	known *repository
	// walked is how many bytes of older roots were read.
	walked int
}

// again tells whether trying again could help.
func (l *loader) again(failure *validator.Error) bool {
	return l.mixed || failure.Reason == validator.RolledBack
}

// latest loads what is the newest, and remembers it, unless something newer was seen
// before.
func (l *loader) latest(ctx context.Context, before *repository) (*repository, *validator.Error) {
	l.mixed, l.known = false, before
	resets := l.state.Versions.of(l.key(l.name)).Resets
	found, failure := l.base(ctx, before)
	if failure == nil {
		found, failure = l.delegated(ctx, found)
	}
	if failure != nil {
		return nil, failure
	}
	return found, l.state.Versions.Accept(l.key(l.name), found.seen(l.now), func(seen Seen) *validator.Error {
		if seen.Resets != resets {
			return validator.Errorf(validator.RolledBack, "what was seen of its trust data was forgotten meanwhile; try again")
		}
		return found.precededBy(seen)
	})
}

// base loads all but delegations. Of what was there before, a timestamp tells
// whether it is still the newest.
func (l *loader) base(ctx context.Context, before *repository) (*repository, *validator.Error) {
	got := &files{}
	if before != nil {
		got.fetch(ctx, l, dct.TimestampRole)
		f := got.of(dct.TimestampRole)
		if f.err != nil && !errors.Is(f.err, registry.ErrNoTrustData) {
			return nil, validator.AsError(f.err)
		}
		if found := before.renewed(f.raw, l.now); f.err == nil && found != nil {
			return found, nil
		}
	}
	got.fetch(ctx, l, dct.RootRole, dct.TimestampRole, dct.SnapshotRole, dct.TargetsRole)
	if failure := got.complete(l); failure != nil {
		return nil, failure
	}
	return l.verify(ctx, got)
}

// verify turns files into a repository. A file that does not belong to the rest
// is fetched again by its hash.
func (l *loader) verify(ctx context.Context, got *files) (*repository, *validator.Error) {
	raw := got.of(dct.RootRole).raw
	root, failure := l.root(ctx, raw)
	if failure != nil {
		return nil, failure
	}
	r := &repository{name: l.name, stamp: got.of(dct.TimestampRole).raw, root: root}
	if failure = l.verifySnapshot(ctx, r, got.of(dct.SnapshotRole).raw); failure != nil {
		return nil, failure
	}
	if r.snapshot.HasRoot(r.root.Root) != nil {
		if failure = l.replaceRoot(ctx, r); failure != nil {
			return nil, failure
		}
	}
	if failure = r.root.Current(l.now); failure != nil {
		return nil, failure
	}
	r.rootEnds = r.root.Ends(l.now)
	targets, failure := l.belonging(ctx, r.snapshot, dct.TargetsRole, got.of(dct.TargetsRole).raw)
	if failure != nil {
		return nil, failure
	}
	verified, failure := r.root.Targets(r.snapshot, targets, l.now)
	if failure != nil {
		return nil, failure
	}
	r.targets = map[string]*dct.Targets{dct.TargetsRole: verified}
	r.bytes = len(raw) + len(r.stamp) + snapshotWeight*len(r.snapshot.Raw()) + len(targets)
	return r, nil
}

// verifySnapshot verifies timestamp and snapshot.
func (l *loader) verifySnapshot(ctx context.Context, r *repository, raw []byte) (failure *validator.Error) {
	if r.timestamp, failure = r.root.Timestamp(r.stamp, l.now); failure != nil {
		l.mixed = failure.Reason == validator.InvalidTrustData // its key may just have been rotated
		return failure
	}
	if !r.timestamp.Names(raw) {
		if raw, failure = l.byHash(ctx, dct.SnapshotRole, r.timestamp.Snapshot(), dct.TimestampRole); failure != nil {
			return failure
		}
	}
	if r.snapshot, failure = r.root.Snapshot(r.timestamp, raw, l.now); failure != nil {
		l.mixed = failure.Reason == validator.InvalidTrustData // and so may this one's
	}
	return failure
}

// replaceRoot takes the root that the snapshot names, by which timestamp and
// snapshot then must be signed too.
func (l *loader) replaceRoot(ctx context.Context, r *repository) *validator.Error {
	raw, failure := l.byHash(ctx, dct.RootRole, r.snapshot.Location(dct.RootRole), dct.SnapshotRole)
	if failure != nil {
		return failure
	}
	snapshot := r.snapshot.Raw()
	if r.root, failure = l.root(ctx, raw); failure != nil {
		return failure
	}
	if failure = l.verifySnapshot(ctx, r, snapshot); failure != nil {
		return failure
	}
	return r.snapshot.HasRoot(r.root.Root)
}

// belonging is the file of a role that belongs to the snapshot.
func (l *loader) belonging(ctx context.Context, all *dct.Snapshot, role string, raw []byte) ([]byte, *validator.Error) {
	if all.Names(role, raw) {
		return raw, nil
	}
	return l.byHash(ctx, role, all.Location(role), dct.SnapshotRole)
}

// byHash fetches a file that another one names.
func (l *loader) byHash(ctx context.Context, role string, at dct.Location, by string) ([]byte, *validator.Error) {
	l.mixed = true
	if len(at.Hash) != 64 || at.Length <= 0 {
		return nil, dct.Mixed(role, by)
	}
	raw, err := l.get(ctx, role+"."+at.Hash, min(at.Length, limitOf(role)), false)
	if errors.Is(err, registry.ErrNoTrustData) {
		return nil, dct.Mixed(role, by)
	}
	if err != nil {
		return nil, validator.AsError(err)
	}
	l.mixed = false
	return raw, nil
}

// get fetches a file by its name without the extension.
func (l *loader) get(ctx context.Context, file string, limit int64, fresh bool) ([]byte, error) {
	return l.from.TrustData(ctx, l.server, l.name, file+".json", limit, fresh)
}
