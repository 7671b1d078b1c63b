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
	Root      int64            `json:"root,omitempty"`
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
	day := max(s.Day, other.Day)
	switch {
	case s.Resets != other.Resets:
		if other.Resets > s.Resets {
			s = other
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
	s.Day = day
	return s
}

// same tells whether two say the same.
func (s Seen) same(other Seen) bool {
	return s.Resets == other.Resets && s.Root == other.Root && s.Timestamp == other.Timestamp && s.Snapshot == other.Snapshot &&
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
	if after := before.merge(seen); !known || !after.same(before) {
		v.seen[key] = after
		changed = true
	}
	if !known && len(v.seen) > maxSeen {
		delete(v.seen, oldest(v.seen))
	}
	return changed
}

func (v *Versions) resets(key string) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.seen[key].Resets
}

// newest tells whether nothing newer than that was seen.
func (v *Versions) newest(key string, seen Seen) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	before := v.seen[key]
	seen.Day = max(seen.Day, before.Day) // which says nothing about versions
	return seen.Resets == before.Resets && before.merge(seen).same(seen)
}

func oldest(seen map[string]Seen) (key string) {
	for k, s := range seen {
		if key == "" || s.Day < seen[key].Day {
			key = k
		}
	}
	return key
}

// check refuses a repository of which newer files were seen.
func (v *Versions) check(key string, r *repository) *validator.Error {
	v.mu.Lock()
	before := v.seen[key]
	v.mu.Unlock()
	if r.root.Version() < before.Root {
		return rolledBack(dct.RootRole, r.root.Version(), before.Root)
	}
	switch {
	case before.Root == 0 || r.root.Version() > before.Root && r.root.Servers() != before.Servers:
		return nil // it begins, or begins anew
	case r.root.Servers() != before.Servers && r.root.Version() == before.Root:
		return validator.Errorf(validator.RolledBack, "the root of its trust data has the version %d, of which another was seen before; %s", before.Root, howToForget)
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
