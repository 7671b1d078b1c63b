package remote

import (
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// Retain says what the configuration in force needs, and the one that was
// offered last. Everything else is forgotten when nobody has asked for it for
// a while.
func (r *Refresher) Retain(used []trust.Remote) {
	r.mu.Lock()
	defer r.mu.Unlock()
	needed := map[trust.Remote]bool{}
	for _, where := range used {
		needed[where] = true
	}
	for where, e := range r.entries {
		if e.retained && !needed[where] {
			e.asked = time.Now()
		}
		e.retained = needed[where]
	}
}

// Good is what was fetched last for the configuration in force, to be restored
// after a restart.
func (r *Refresher) Good() []trust.Fetched {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []trust.Fetched
	for _, e := range r.entries {
		if e.retained && e.last.Content != nil && e.where.Kind() != trust.KindSecret { // nothing of a Secret is kept
			all = append(all, e.last)
		}
	}
	return all
}

// Restore makes what was good before a restart the last good content of what is
// asked for from now on, until it is fetched anew. Whatever cannot have been
// fetched is passed over.
func (r *Refresher) Restore(all []trust.Fetched) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, f := range all {
		if f.Where.Check() != nil || f.Where.Kind() == trust.KindSecret || r.sources[f.Where.Kind()].valid(f.Content) != nil || len(r.restored) >= maxEntries {
			continue
		}
		if f.At.After(now) {
			f.At = now
		}
		e := r.entries[f.Where]
		switch {
		case e == nil:
			r.restored[f.Where] = f
		case e.last.Content == nil:
			e.last = f
		}
	}
}

// expiries is when the roots of the TUF repositories expire that are in use, by
// their URLs.
func (r *Refresher) expiries() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]time.Time{}
	for where, e := range r.entries {
		if before, ok := all[where.TUF]; e.retained && !e.last.RootExpires.IsZero() && (!ok || e.last.RootExpires.Before(before)) {
			all[where.TUF] = e.last.RootExpires
		}
	}
	return all
}

// ages is how long ago the oldest content of each kind was fetched that is in
// use.
func (r *Refresher) ages() map[string]time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := map[string]time.Duration{}
	for where, e := range r.entries {
		if e.retained && e.last.Content != nil {
			oldest[where.Kind()] = max(oldest[where.Kind()], time.Since(e.last.At))
		}
	}
	return oldest
}
