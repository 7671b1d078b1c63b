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
	maxSeen = 4000
	// maxRoots bounds the roots of one repository that are remembered.
	maxRoots = 16
	// forked stands for the root of a version of which two were seen. None has it for
	// a hash, so that nothing is trusted until somebody has it forgotten.
	forked = "forked"
)

// Seen is the highest versions that were seen of a repository's trust data.
type Seen struct {
	// Resets counts how often they were forgotten on request.
	Resets int64 `json:"resets,omitempty"`
	// Root, Timestamp, Snapshot and Targets (by role) are versions.
	Root int64 `json:"root,omitempty"`
	// Roots are the hashes of roots, by version, from all of which newer ones must
	// descend: keys that the owner has given up since could else sign others.
	Roots     map[int64]string `json:"roots,omitempty"`
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
		roots = union(roots, other.Roots)
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

// union is the roots of both, the newest of them.
func union(a, b map[int64]string) map[int64]string {
	if len(a) == 0 {
		return b
	}
	all := maps.Clone(a)
	for version, hash := range b {
		if other, ok := all[version]; ok && other != hash {
			hash = forked
		}
		all[version] = hash
	}
	for len(all) > maxRoots {
		delete(all, slices.Min(slices.Collect(maps.Keys(all))))
	}
	return all
}

// same tells whether two say the same.
func (s Seen) same(other Seen) bool {
	return s.Resets == other.Resets && s.Root == other.Root && s.Timestamp == other.Timestamp && s.Snapshot == other.Snapshot &&
		s.Servers == other.Servers && s.Day == other.Day && maps.Equal(s.Targets, other.Targets) && maps.Equal(s.Roots, other.Roots)
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

// Accept takes over what was verified, unless check complains about it beside what was
// seen before.
func (v *Versions) Accept(key string, verified Seen, check func(before Seen) *validator.Error) *validator.Error {
	v.mu.Lock()
	before, changed := v.seen[key], false
	failure := check(before)
	if failure == nil {
		verified.Resets = before.Resets
		changed = v.put(key, verified)
	}
	fn := v.onChange
	v.mu.Unlock()
	if changed && fn != nil {
		fn()
	}
	return failure
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

// newest tells whether nothing newer than that was seen, and it is of the root that was.
func (v *Versions) newest(key string, seen Seen) bool {
	before := v.of(key)
	if before.Root != 0 && (before.Root != seen.Root || before.Roots[before.Root] != seen.Roots[seen.Root]) {
		return false
	}
	before.Roots = seen.Roots
	seen.Day = max(seen.Day, before.Day) // which says nothing about versions
	return seen.Resets == before.Resets && before.merge(seen).same(seen)
}

// since is the oldest of the roots that were seen which a newest one has to descend from;
// 0 if there is none.
func (s Seen) since(newest int64) int64 {
	if len(s.Roots) == 0 || newest < s.Root {
		return 0
	}
	if oldest := slices.Min(slices.Collect(maps.Keys(s.Roots))); oldest < newest {
		return oldest
	}
	return 0
}

// precedes refuses a root that is not the one that was seen, and does not descend from it.
func (s Seen) precedes(root lineage) *validator.Error {
	newest := root.Version()
	if newest < s.Root {
		return rolledBack(dct.RootRole, newest, s.Root)
	}
	for _, version := range slices.Backward(slices.Sorted(maps.Keys(s.Roots))) {
		switch i := newest - version; {
		case i < int64(len(root.hashes)) && root.hashes[i] == s.Roots[version]:
		case i == 0:
			return validator.Errorf(validator.RolledBack, "the root of its trust data has the version %d, of which another was seen before; %s", version, howToForget)
		default:
			return doesNotFollow(newest, version)
		}
	}
	return nil
}

// precededBy refuses a repository of which newer files, or others, were seen.
func (r *repository) precededBy(before Seen) *validator.Error {
	if failure := before.precedes(r.root); failure != nil {
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

func doesNotFollow(newest, from int64) *validator.Error {
	return validator.Errorf(validator.RolledBack, "version %d of the root of its trust data does not follow from version %d, which was seen before; %s", newest, from, howToForget)
}
