package workload

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// settlingTime is how long a change of what is listed may take to reach every API
// server and every replica. A new leader may have to be found first.
const settlingTime = time.Minute

// Settling are kinds that are listed only since a moment ago, or no longer: not
// everybody knows of it yet. The zero value has none. It is not modified.
type Settling struct{ kinds []settling }

type settling struct {
	kind
	until time.Time
}

// After is what is settling when the listed kinds have just become others.
func (s Settling) After(before, after Kinds, now time.Time) Settling {
	var out Settling
	for _, old := range s.kinds {
		if old.until.After(now) {
			out.kinds = append(out.kinds, old)
		}
	}
	begin := func(these, those Kinds) {
		for _, k := range these.all {
			if gvk := k.WithVersion(k.version); !those.Reads(gvk) {
				out.kinds = slices.DeleteFunc(out.kinds, func(s settling) bool { return s.WithVersion(s.version) == gvk })
				out.kinds = append(out.kinds, settling{k, now.Add(settlingTime)})
			}
		}
	}
	begin(before, after)
	begin(after, before)
	return out
}

// Find gives the kind, as it is or was listed, if it is settling.
func (s Settling) Find(gvk schema.GroupVersionKind, now time.Time) (Kinds, bool) {
	for _, k := range s.kinds {
		if one := (Kinds{[]kind{k.kind}}); one.Reads(gvk) && k.until.After(now) {
			return one, true
		}
	}
	return Kinds{}, false
}
