package config

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// Change is what became of a configuration that was offered to a Store.
type Change struct {
	// Snapshot is what is in force afterwards; nil if nothing is.
	Snapshot *verify.Snapshot
	// Errors is why the offered configuration was refused; empty if it is
	// what is in force.
	Errors strict.Errors
	// Insecure are the settings in force that take protection away; empty if the
	// offered configuration was refused.
	Insecure strict.Errors
	// Findings is where findings go; that of what is in force.
	Findings finding.Settings
	// Expiries and Hosts are those of what has come into force; empty if nothing has.
	Expiries []observability.Expiry
	Hosts    []string
	// Alerts is whom alerts are sent to; that of what is in force.
	Alerts alert.Settings
	// SharedCache is where the cache is that replicas share; that of what is in force.
	SharedCache shared.Settings
	// Restored tells that what is in force was kept from before a restart.
	Restored bool
	// Duration is how long the building took.
	Duration time.Duration
	// Objects is the configuration that is in force.
	Objects Objects

	reads map[string]string // of Objects
	// edition tells what was offered from the same before something else was.
	edition string
}

// Store keeps the newest good snapshot.
type Store struct {
	builder   *Builder
	observers []func(Change)

	current atomic.Pointer[verify.Snapshot]
	problem atomic.Pointer[strict.Errors]

	mu        sync.Mutex // serialises changes
	good      Objects    // what current was built from
	goodReads map[string]string
	findings  finding.Settings
	alerts    alert.Settings
	sharing   shared.Settings
	reads     map[string]string // of the newest configuration that was offered
	attempted string            // identifies it
}

// NewStore makes an empty store.
func NewStore(builder *Builder) *Store { return &Store{builder: builder} }

// OnChange has fn told of every change and every refusal, one after the other.
func (s *Store) OnChange(fn func(Change)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.observers = append(s.observers, fn)
}

func (s *Store) notify(c Change) {
	for _, fn := range s.observers {
		fn(c)
	}
}

// Snapshot is the configuration in force; the error says why there is none.
func (s *Store) Snapshot() (*verify.Snapshot, error) {
	if snapshot := s.current.Load(); snapshot != nil {
		return snapshot, nil
	}
	if problem := s.problem.Load(); problem != nil && len(*problem) > 0 {
		return nil, fmt.Errorf("there is no usable configuration:\n%w", *problem)
	}
	return nil, errors.New("there is no usable configuration: it has not been read yet")
}

// Problem says why the newest configuration is not in force; nil if it is.
func (s *Store) Problem() error {
	if problem := s.problem.Load(); problem != nil {
		return problem.Err()
	}
	return nil
}

// Offer takes a configuration into force if it is good and differs from the
// one before. Otherwise the last good one stays in force.
func (s *Store) Offer(o Objects) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if identify(o, s.reads) == s.attempted {
		return
	}
	start := time.Now()
	built := s.builder.Build(o)
	built.Errors = append(built.Errors, s.deleted(o)...)
	s.reads = built.reads
	s.attempted = identity(o, built.reads)
	s.problem.Store(&built.Errors)
	if len(built.Errors) == 0 {
		s.take(o, built)
	}
	change := Change{Snapshot: s.current.Load(), Errors: built.Errors, Duration: time.Since(start), Objects: s.good, reads: built.reads, edition: o.edition()}
	if len(built.Errors) == 0 {
		change.Insecure, change.Expiries, change.Hosts = built.Insecure, built.Expiries, built.Hosts
	}
	change.Findings, change.Alerts, change.SharedCache = s.findings, s.alerts, s.sharing
	s.notify(change)
}

// Restore takes the last good configuration of before a restart into force,
// where the one that was offered is not good.
func (s *Store) Restore(o Objects) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load() != nil {
		return
	}
	start := time.Now()
	built := s.builder.Build(o)
	if len(built.Errors) > 0 {
		return // it says nothing about the configuration that somebody edits
	}
	s.take(o, built)
	s.notify(Change{Snapshot: built.Snapshot, Findings: built.Findings, Alerts: built.Alerts, SharedCache: built.SharedCache, Insecure: built.Insecure, Expiries: built.Expiries, Hosts: built.Hosts, Restored: true, Duration: time.Since(start), Objects: o, reads: built.reads})
}

// Renew builds the configuration in force again if trust material has changed
// that it needs, although the one that was offered since is refused.
func (s *Store) Renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current.Load() == nil || identify(s.good, s.goodReads) == identity(s.good, s.goodReads) {
		return
	}
	start := time.Now()
	built := s.builder.Build(s.good)
	if len(built.Errors) > 0 {
		return // what is in force is better than nothing
	}
	s.take(s.good, built)
	s.notify(Change{Snapshot: built.Snapshot, Findings: built.Findings, Alerts: built.Alerts, SharedCache: built.SharedCache, Expiries: built.Expiries, Hosts: built.Hosts, Duration: time.Since(start), Objects: s.good, reads: built.reads, edition: s.good.edition()})
}

func (s *Store) take(o Objects, built Built) {
	if before := s.current.Load(); before != nil {
		built.Snapshot.Settling = before.Settling.After(before.Workloads, built.Snapshot.Workloads, time.Now())
	}
	s.good, s.goodReads = o, built.reads
	s.findings, s.alerts, s.sharing = built.Findings, built.Alerts, built.SharedCache
	s.current.Store(built.Snapshot)
}

// Remotes lists what the configuration in force and the one that was offered
// last need from outside of the cluster.
func (s *Store) Remotes() []trust.Remote {
	s.mu.Lock()
	defer s.mu.Unlock()
	return remotes(s.goodReads, s.reads)
}

// Expect makes o what an offered configuration is compared with to notice that
// a ConfigMap was deleted, although o itself is not in force.
func (s *Store) Expect(o Objects) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.good = o
}

// deleted finds the ConfigMaps that the configuration in force has and the
// offered one lacks. Defaults must not replace what somebody had set.
func (s *Store) deleted(o Objects) (errs strict.Errors) {
	for _, name := range Names {
		if s.good.ConfigMaps[name] != nil && o.ConfigMaps[name] == nil && name != PolicyName {
			errs = append(errs, &strict.Error{Source: name, Message: "was deleted; to go back to its defaults, create it without data"})
		}
	}
	return errs
}

// identify tells configurations apart, as far as they differ in something that
// was needed the last time.
func identify(o Objects, reads map[string]string) string {
	source := &recorder{Source: o, reads: map[string]string{}}
	replay(source, reads)
	return identity(o, source.reads)
}

// identity is of a configuration for which this was read. What is outside of
// the cluster may be another thing by now.
func identity(o Objects, reads map[string]string) string {
	exists := ""
	for _, name := range Names {
		exists += fmt.Sprint(o.ConfigMaps[name] != nil)
	}
	return exists + revision(o, reads)
}
