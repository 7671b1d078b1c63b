package notaryv1

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

const (
	// maxSeen bounds the repositories whose versions are remembered: then the one
	// is forgotten that was not verified for the longest time.
	maxSeen = 3000
)

// Seen is the highest versions that were seen of a repository's trust data.
type Seen struct {
	// Resets counts how often they were forgotten on request.
	Resets int64 `json:"resets,omitempty"`
	// Root, Timestamp, Snapshot and Targets (by role) are versions.
	Root int64 `json:"root,omitempty"`
	// Roots are those that newer ones must descend from.
	Roots
	Timestamp int64            `json:"timestamp,omitempty"`
	Snapshot  int64            `json:"snapshot,omitempty"`
	Targets   map[string]int64 `json:"targets,omitempty"`
	// Servers identifies the keys of timestamp and snapshot: with new ones, which
	// only a newer root can name, all versions but the root's begin anew.
	Servers string `json:"servers,omitempty"`
	// Day is when it was verified last (UTC).
	Day string `json:"day,omitempty"`
}

// merge is the highest of both.
func (s Seen) merge(other Seen) Seen {
	day, roots := max(s.Day, other.Day), s.Roots
	if s.Resets == other.Resets {
		roots = roots.merge(other.Roots)
	}
	switch {
	case s.Resets != other.Resets:
		if other.Resets > s.Resets {
			s, roots = other, other.Roots
		}
	case s.Servers != other.Servers:
		// A newer root, or where there are two of a version, which is nothing that
		// one owner has, the one that was used more.
		if cmp.Or(cmp.Compare(other.Root, s.Root), cmp.Compare(other.Timestamp, s.Timestamp), cmp.Compare(other.Servers, s.Servers)) > 0 {
			s = other
		}
	default:
		s.Root, s.Timestamp, s.Snapshot = max(s.Root, other.Root), max(s.Timestamp, other.Timestamp), max(s.Snapshot, other.Snapshot)
		targets := maps.Clone(s.Targets)
		for role, version := range other.Targets {
			if targets == nil {
				targets = map[string]int64{}
			}
			targets[role] = max(targets[role], version)
		}
		s.Targets = targets
	}
	s.Day, s.Roots = day, roots
	return s
}

// same tells whether two say the same.
func (s Seen) same(other Seen) bool {
	return s.Resets == other.Resets && s.Root == other.Root && s.Timestamp == other.Timestamp && s.Snapshot == other.Snapshot &&
		s.Servers == other.Servers && s.Day == other.Day && maps.Equal(s.Targets, other.Targets) && s.Roots.same(other.Roots)
}

// Versions remembers the highest versions of repositories. It is safe for
// concurrent use.
type Versions struct {
	mu       sync.Mutex
	seen     map[string]Seen
	onChange func()
}

// VersionsKey is what the versions of a repository at a server are remembered by.
func VersionsKey(server, repository string) string { return server + "/" + repository }

// OnChange has fn called when there is something new to remember.
func (v *Versions) OnChange(fn func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.onChange = fn
}

// All is what is remembered, by VersionsKey.
func (v *Versions) All() map[string]Seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.seen)
}

// Merge takes over what others remember.
func (v *Versions) Merge(others map[string]Seen) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fresh := map[string]bool{}
	for key, seen := range others {
		before, known := v.seen[key]
		fresh[key] = !known
		v.seen[key] = before.merge(seen)
	}
	v.forgetOldest(fresh)
}

// Accept takes over what was verified, unless check complains about it beside what was
// seen before.
func (v *Versions) Accept(key string, verified Seen, check func(before Seen) *validator.Error) *validator.Error {
	tell, failure := v.accept(key, verified, check)
	if tell != nil {
		tell()
	}
	return failure
}

// accept gives whom to tell, if there is something new.
func (v *Versions) accept(key string, verified Seen, check func(before Seen) *validator.Error) (tell func(), failure *validator.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before, known := v.seen[key]
	if failure := check(before); failure != nil {
		return nil, failure
	}
	verified.Resets = before.Resets
	after := before.merge(verified)
	after.Roots = before.followed(verified.Roots)
	if known && after.same(before) {
		return nil, nil
	}
	v.seen[key] = after
	v.forgetOldest(map[string]bool{key: !known})
	if _, kept := v.seen[key]; !kept {
		return nil, nil
	}
	return v.onChange, nil
}

// forgetOldest forgets those that were not verified for the longest time, if they are
// too many; of those of one day, the fresh ones, so that nobody can have others forgotten
// by asking for many.
func (v *Versions) forgetOldest(fresh map[string]bool) {
	if len(v.seen) <= maxSeen {
		return
	}
	keys := slices.SortedFunc(maps.Keys(v.seen), func(a, b string) int {
		order := cmp.Compare(v.seen[a].Day, v.seen[b].Day)
		if order == 0 && fresh[a] != fresh[b] {
			order = 1
			if fresh[a] {
				order = -1
			}
		}
		return cmp.Or(order, cmp.Compare(a, b))
	})
	for _, key := range keys[:len(keys)-maxSeen] {
		delete(v.seen, key)
	}
}

// of is what was seen of a repository.
func (v *Versions) of(key string) Seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen[key]
}

// newest tells whether nothing newer than that was seen, and it is of the root that was.
func (v *Versions) newest(key string, seen Seen) bool {
	before := v.of(key)
	if before.fork() != nil || before.Root != 0 && (before.Root != seen.Root || !seen.include(before.Roots)) {
		return false
	}
	before.Roots, seen.Roots = Roots{}, Roots{}
	seen.Day = max(seen.Day, before.Day) // which says nothing about versions
	return seen.Resets == before.Resets && before.merge(seen).same(seen)
}

// precededBy refuses a repository of which newer files, or others, were seen.
func (r *repository) precededBy(before Seen) *validator.Error {
	if r.root.Version() < before.Root {
		return rolledBack(dct.RootRole, r.root.Version(), before.Root)
	}
	if failure := before.precede(r.root.Version(), r.root.hashes); failure != nil {
		return failure
	}
	if r.root.Version() > before.Root && r.root.Servers() != before.Servers {
		return nil // it begins, or begins anew
	}
	for _, f := range []struct {
		role     string
		is, want int64
	}{{dct.TimestampRole, r.timestamp.Version(), before.Timestamp}, {dct.SnapshotRole, r.snapshot.Version(), before.Snapshot}} {
		if f.is < f.want {
			return rolledBack(f.role, f.is, f.want)
		}
	}
	for role, want := range before.Targets {
		t := r.targets[role]
		switch parent := r.targets[dct.Parent(role)]; {
		case t != nil && t.Version() < want:
			return rolledBack(role, t.Version(), want)
		case t == nil && parent != nil && parent.Delegates(role) && !r.snapshot.Has(role):
			return validator.Errorf(validator.RolledBack, "the trust data lacks %s, of which version %d was seen; %s", role, want, howToForget)
		}
	}
	return nil
}

// howToForget is for those who know why versions are lower than before.
const howToForget = "if the repository's owner has deleted it and begun anew, those who run the cluster can have it forgotten by connaisseur forget"

func rolledBack(role string, is, want int64) *validator.Error {
	return validator.Errorf(validator.RolledBack, "the %s of its trust data has the version %d, but %d was seen before; %s", role, is, want, howToForget)
}
