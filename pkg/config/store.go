package config

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// Change is what became of a configuration that was offered to a Store.
type Change struct {
	// Snapshot is what is in force afterwards; nil if nothing is.
	Snapshot *verify.Snapshot
	// Errors is why the offered configuration was refused; empty if it is
	// what is in force.
	Errors strict.Errors
	// Restored tells that what is in force was kept from before a restart.
	Restored bool
	// Duration is how long the building took.
	Duration time.Duration
	// Objects is the configuration that is in force.
	Objects Objects

	reads map[string]string // of Objects
}

// Store keeps the newest good snapshot.
type Store struct {
	builder   *Builder
	observers []func(Change)

	current atomic.Pointer[verify.Snapshot]
	problem atomic.Pointer[strict.Errors]

	mu        sync.Mutex // serialises changes
	good      Objects    // what current was built from
	reads     map[string]string
	attempted string // identifies the newest configuration that was offered
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
	attempt := s.identify(o)
	if attempt == s.attempted {
		return
	}
	start := time.Now()
	built := s.builder.Build(o)
	built.Errors = append(built.Errors, s.deleted(o)...)
	s.reads = built.reads
	s.attempted = s.identify(o)
	s.problem.Store(&built.Errors)
	if len(built.Errors) == 0 {
		s.good = o
		s.current.Store(built.Snapshot)
	}
	s.notify(Change{Snapshot: s.current.Load(), Errors: built.Errors, Duration: time.Since(start), Objects: s.good, reads: built.reads})
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
	s.good = o
	s.current.Store(built.Snapshot)
	s.notify(Change{Snapshot: built.Snapshot, Restored: true, Duration: time.Since(start), Objects: o, reads: built.reads})
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
	for _, name := range []string{PolicyName, TrustRootsName, FeaturesName} {
		if s.good.ConfigMaps[name] != nil && o.ConfigMaps[name] == nil && name != PolicyName {
			errs = append(errs, &strict.Error{Source: name, Message: "was deleted; to go back to its defaults, create it without data"})
		}
	}
	return errs
}

// identify tells configurations apart, as far as they differ in something that
// was needed the last time.
func (s *Store) identify(o Objects) string {
	source := &recorder{Source: o, reads: map[string]string{}}
	replay(source, s.reads)
	exists := ""
	for _, name := range []string{PolicyName, TrustRootsName, FeaturesName} {
		exists += fmt.Sprint(o.ConfigMaps[name] != nil)
	}
	return exists + revision(o, source.reads)
}
