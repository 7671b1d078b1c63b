package notaryv1

import (
	"maps"
	"slices"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// keptRoots is how many of a chain are remembered: the newest says all, and the
	// one before tells those who know that one that theirs is in the chain. Where they
	// were apart, all are, for those who know the others.
	keptRoots = 2
	// maxRoots bounds those that are in no chain yet.
	maxRoots = 16
	// forked stands for the root of a version of which two were seen, or of too many.
	// It is no hash, so that nothing is trusted until somebody has it forgotten.
	forked = "forked"
)

// Roots are roots that were seen, from which newer ones must descend: keys that the
// owner has given up since could else sign others. It is immutable.
type Roots struct {
	// Hashes are theirs, by version.
	Hashes map[int64]string `json:"roots,omitempty"`
	// Apart tells that replicas have seen them, none of which knows that they are one
	// chain: then a newer one must descend from all of them, and otherwise from the
	// newest only.
	Apart bool `json:"apart,omitempty"`
}

// same tells whether two say the same.
func (r Roots) same(other Roots) bool {
	return r.Apart == other.Apart && maps.Equal(r.Hashes, other.Hashes)
}

// newest is the highest version; 0 if there is none.
func (r Roots) newest() (version int64) {
	for v := range r.Hashes {
		version = max(version, v)
	}
	return version
}

// binding are the hashes of those that a newer root must be shown to descend from.
func (r Roots) binding() map[int64]string {
	if newest := r.newest(); newest != 0 && !r.Apart {
		return map[int64]string{newest: r.Hashes[newest]}
	}
	return r.Hashes
}

// include tells whether those that bind the other are among them.
func (r Roots) include(other Roots) bool {
	for version, hash := range other.binding() {
		if r.Hashes[version] != hash {
			return false
		}
	}
	return true
}

// merge is what holds when both do.
func (r Roots) merge(other Roots) Roots {
	switch mine, others := r.include(other), other.include(r); {
	case mine && !others:
		return r
	case others && !mine:
		return other
	case mine && r.Apart != other.Apart: // one of them knows that it is a chain
		if r.Apart {
			return other
		}
		return r
	case mine && !r.Apart: // the same newest
		return Roots{Hashes: last(union(r.Hashes, other.Hashes), maxRoots+1)}
	}
	all := Roots{Hashes: union(r.binding(), other.binding()), Apart: true}
	if len(all.Hashes) > maxRoots {
		all.Hashes = map[int64]string{all.newest(): forked}
	}
	return all
}

// union is both, forked where they differ.
func union(a, b map[int64]string) map[int64]string {
	all := make(map[int64]string, len(a)+len(b))
	maps.Copy(all, a)
	for version, hash := range b {
		if other, ok := all[version]; ok && other != hash {
			hash = forked
		}
		all[version] = hash
	}
	return all
}

// last are the newest of a chain, as many as are kept.
func last(chain map[int64]string, kept int) map[int64]string {
	versions := slices.Sorted(maps.Keys(chain))
	for _, version := range versions[:max(0, len(versions)-kept)] {
		delete(chain, version)
	}
	return chain
}

// followed are those of a chain that was verified: the newest is of the verified ones.
func (r Roots) followed(verified Roots) Roots {
	newest, kept := verified.newest(), keptRoots
	if r.Apart || r.newest() == newest {
		kept = maxRoots + 1
	}
	return Roots{Hashes: last(union(r.Hashes, map[int64]string{newest: verified.Hashes[newest]}), kept)}
}

// since is the oldest of those that a root has to be shown to descend from; 0 if there
// is none.
func (r Roots) since(newest int64) (version int64) {
	for v := range r.binding() {
		if v < newest && (version == 0 || v < version) {
			version = v
		}
	}
	return version
}

// fork refuses every root where two of a version were seen.
func (r Roots) fork() *validator.Error {
	for version, hash := range r.Hashes {
		if hash == forked {
			return validator.Errorf(validator.RolledBack, "two roots of version %d of its trust data were seen, by different replicas; %s", version, howToForget)
		}
	}
	return nil
}

// precede refuses a root that is not among them, and does not descend from them. hashes
// are its own, that of the one before it, and so on, as far as it is known.
func (r Roots) precede(newest int64, hashes []string) *validator.Error {
	if failure := r.fork(); failure != nil {
		return failure
	}
	binding := r.binding()
	for _, version := range slices.Backward(slices.Sorted(maps.Keys(binding))) {
		i := newest - version
		switch {
		case i >= 0 && i < int64(len(hashes)) && hashes[i] == binding[version]:
		case i == 0:
			return validator.Errorf(validator.RolledBack, "the root of its trust data has the version %d, of which another was seen before; %s", version, howToForget)
		default:
			return doesNotFollow(newest, version)
		}
	}
	return nil
}

func doesNotFollow(newest, from int64) *validator.Error {
	return validator.Errorf(validator.RolledBack, "version %d of the root of its trust data does not follow from version %d, which was seen before; %s", newest, from, howToForget)
}
