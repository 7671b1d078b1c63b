package notaryv1

import (
	"bytes"
	"fmt"
	"maps"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

// repository is trust data that was verified, all of one snapshot. It is
// immutable.
type repository struct {
	name      string
	stamp     []byte // the timestamp as it was served
	root      lineage
	timestamp *dct.Timestamp
	snapshot  *dct.Snapshot
	targets   map[string]*dct.Targets // by role: targets, and delegations that were fetched
	rootEnds  time.Time               // or its certificates
	bytes     int                     // of the files
}

// with is the repository with more delegations.
func (r *repository) with(more map[string]*dct.Targets, bytes int) *repository {
	out := *r
	out.targets = maps.Clone(r.targets)
	maps.Copy(out.targets, more)
	out.bytes += bytes
	return &out
}

// renewed is the repository with the newest timestamp, if that still names the
// same snapshot and nothing has expired; nil if all has to be fetched anew.
func (r *repository) renewed(stamp []byte, now time.Time) *repository {
	if r.current(now) != nil {
		return nil
	}
	out := *r
	if bytes.Equal(stamp, r.stamp) {
		return &out
	}
	newest, failure := r.root.Timestamp(stamp, now)
	if failure != nil || !r.snapshot.IsOf(newest) {
		return nil
	}
	out.stamp, out.timestamp = stamp, newest
	return &out
}

func (r *repository) current(now time.Time) *validator.Error {
	for role, when := range r.ends(r.targets) {
		if !now.Before(when) {
			return validator.Errorf(validator.Expired, "the %s of its trust data expired", role)
		}
	}
	return r.root.Current(now)
}

// ends is when the files expire that everything relies on, and these targets.
func (r *repository) ends(targets map[string]*dct.Targets) map[string]time.Time {
	all := map[string]time.Time{dct.RootRole: r.rootEnds, dct.TimestampRole: r.timestamp.Expires, dct.SnapshotRole: r.snapshot.Expires}
	for role, t := range targets {
		all[role] = t.Expires
	}
	return all
}

// expires is when the first file expires that is relied on where these targets
// are.
func (r *repository) expires(by []*dct.Targets) time.Time {
	used := map[string]*dct.Targets{dct.TargetsRole: r.targets[dct.TargetsRole]}
	for _, t := range by {
		for role := t.Role(); role != dct.TargetsRole; role = dct.Parent(role) {
			used[role] = r.targets[role]
		}
	}
	var first time.Time
	for _, when := range r.ends(used) {
		if first.IsZero() || when.Before(first) {
			first = when
		}
	}
	return first
}

// role gives the targets of a role, or says why there are none.
func (r *repository) role(role string) (targets *dct.Targets, why string) {
	if t := r.targets[role]; t != nil {
		return t, ""
	}
	parent := r.targets[dct.Parent(role)]
	switch {
	case parent == nil:
		return nil, fmt.Sprintf("there is no delegation %s", role)
	case !parent.Delegates(role):
		why = fmt.Sprintf("there is no delegation %s", role)
		if others := parent.Delegations(); len(others) > 0 && len(others) <= 8 {
			why += fmt.Sprintf(" (there are %q)", others)
		}
		return nil, why
	}
	return nil, fmt.Sprintf("the delegation %s has not signed anything yet", role)
}

// seen is which versions the repository has.
func (r *repository) seen(now time.Time) Seen {
	s := Seen{
		Root: r.root.Version(), Roots: r.root.roots(), Servers: r.root.Servers(), Timestamp: r.timestamp.Version(), Snapshot: r.snapshot.Version(),
		Targets: map[string]int64{}, Day: now.UTC().Format(time.DateOnly),
	}
	for role, t := range r.targets {
		s.Targets[role] = t.Version()
	}
	return s
}
