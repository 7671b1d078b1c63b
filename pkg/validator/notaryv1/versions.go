package notaryv1

import (
	"cmp"
	"maps"
	"sync"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

// maxSeen bounds the repositories whose versions are remembered: then the one
// is forgotten that was not verified for the longest time.
const maxSeen = 5000

// Seen is the highest versions that were seen of a repository's trust data.
type Seen struct {
	// Resets counts how often they were forgotten on request.
	Resets int64 `json:"resets,omitempty"`
	// Root, Timestamp, Snapshot and Targets (by role) are versions.
	Root int64 `json:"root,omitempty"`
	// RootHash identifies the root of that version, from which newer ones must
	// descend: keys that the owner has given up could else sign another.
	RootHash  string           `json:"rootHash,omitempty"`
	Timestamp int64            `json:"timestamp,omitempty"`
	Snapshot  int64            `json:"snapshot,omitempty"`
	Targets   map[string]int64 `json:"targets,omitempty"`
	// Servers identifies the keys of timestamp and snapshot: with new ones, which
	// only a newer root can name, the versions of these two begin anew.
	Servers string `json:"servers,omitempty"`
	// Day is when it was verified last (UTC).
	Day string `json:"day,omitempty"`
}

// merge is the highest of both.
func (s Seen) merge(other Seen) Seen {
	day, targets := max(s.Day, other.Day), s.Targets
	if s.Resets == other.Resets {
		targets = highest(targets, other.Targets)
	}
	switch {
	case s.Resets != other.Resets:
		if other.Resets > s.Resets {
			s, targets = other, other.Targets
		}
	case s.Servers != other.Servers:
		// A newer root, or where there are two of a version, which is nothing that
		// one owner has, the one that was used more.
		if cmp.Or(cmp.Compare(other.Root, s.Root), cmp.Compare(other.Timestamp, s.Timestamp), cmp.Compare(other.Servers, s.Servers)) > 0 {
			s = other
		}
	default:
		s.Timestamp, s.Snapshot = max(s.Timestamp, other.Timestamp), max(s.Snapshot, other.Snapshot)
		// Again, where two of a version differ, which one owner has not, either will do.
		if cmp.Or(cmp.Compare(other.Root, s.Root), cmp.Compare(other.RootHash, s.RootHash)) > 0 {
			s.Root, s.RootHash = other.Root, other.RootHash
		}
	}
	s.Day, s.Targets = day, targets
	return s
}

func highest(a, b map[string]int64) map[string]int64 {
	if len(b) == 0 {
		return a
	}
	all := make(map[string]int64, len(a)+len(b))
	maps.Copy(all, a)
	for role, version := range b {
		all[role] = max(all[role], version)
	}
	return all
}

// same tells whether two say the same.
func (s Seen) same(other Seen) bool {
	return s.Resets == other.Resets && s.Root == other.Root && s.RootHash == other.RootHash && s.Timestamp == other.Timestamp && s.Snapshot == other.Snapshot &&
		s.Servers == other.Servers && s.Day == other.Day && maps.Equal(s.Targets, other.Targets)
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
	for key, seen := range others {
		v.put(key, seen)
	}
}

// Remember takes over what was verified.
func (v *Versions) Remember(key string, seen Seen) {
	v.mu.Lock()
	seen.Resets = v.seen[key].Resets
	changed := v.put(key, seen)
	fn := v.onChange
	v.mu.Unlock()
	if changed && fn != nil {
		fn()
	}
}

// put merges, and tells whether that changed anything. The lock is held.
func (v *Versions) put(key string, seen Seen) (changed bool) {
	before, known := v.seen[key]
	after := before.merge(seen)
	if known && after.same(before) {
		return false
	}
	v.seen[key] = after
	if len(v.seen) <= maxSeen {
		return true
	}
	last := v.oldest(key)
	delete(v.seen, last)
	return last != key
}

// oldest is the one that was not verified for the longest time; of those of one day,
// the new one, so that nobody can have others forgotten by asking for many.
func (v *Versions) oldest(newest string) string {
	key := newest
	for k, s := range v.seen {
		if s.Day < v.seen[key].Day {
			key = k
		}
	}
	return key
}

// of is what was seen of a repository.
func (v *Versions) of(key string) Seen {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen[key]
}

// newest tells whether nothing newer than that was seen.
func (v *Versions) newest(key string, seen Seen) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.seen[key]
	seen.Day = max(seen.Day, before.Day) // which says nothing about versions
	return seen.Resets == before.Resets && before.merge(seen).same(seen)
}

// check refuses a repository of which newer files were seen. That its root descends
// from the one that was seen is known already.
func (v *Versions) check(key string, r *repository) *validator.Error {
	before := v.of(key)
	switch {
	case r.root.Version() < before.Root:
		return rolledBack(dct.RootRole, r.root.Version(), before.Root)
	case r.root.Version() == before.Root && !before.is(r.root):
		return validator.Errorf(validator.RolledBack, "the root of its trust data has the version %d, of which another was seen before; %s", before.Root, howToForget)
	case r.root.Servers() == before.Servers:
		if is := r.timestamp.Version(); is < before.Timestamp {
			return rolledBack(dct.TimestampRole, is, before.Timestamp)
		}
		if is := r.snapshot.Version(); is < before.Snapshot {
			return rolledBack(dct.SnapshotRole, is, before.Snapshot)
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

// is tells whether a root of the version that was seen is the same. What was seen by
// versions before this one has no hash.
func (s Seen) is(root *dct.Root) bool {
	return root.Servers() == s.Servers && (s.RootHash == "" || s.RootHash == root.Hash())
}

// howToForget is for those who know why versions are lower than before.
const howToForget = "if the repository's owner has deleted it and begun anew, those who run the cluster can have it forgotten by connaisseur forget"

func rolledBack(role string, is, want int64) *validator.Error {
	return validator.Errorf(validator.RolledBack, "the %s of its trust data has the version %d, but %d was seen before; %s", role, is, want, howToForget)
}
