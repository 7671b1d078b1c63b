package cache

import "sync"

const (
	// maxFlights bounds the verifications under way: those that nobody waits for
	// any more go on for a while, and whoever makes many of them must not take all
	// memory.
	maxFlights = 2048
	// maxFlightsOfOne bounds those of images of one registry, so that one that does
	// not answer, which may be a tenant's own, leaves room for all others.
	maxFlightsOfOne = maxFlights / 4
)

// slots are for verifications under way.
type slots struct {
	mu    sync.Mutex
	taken int
	of    map[string]int // by registry
}

// take takes one, if there is one for the registry.
func (s *slots) take(registry string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= maxFlights || s.of[registry] >= maxFlightsOfOne {
		return false
	}
	if s.of == nil {
		s.of = map[string]int{}
	}
	s.taken++
	s.of[registry]++
	return true
}

// give gives one back.
func (s *slots) give(registry string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.of[registry]--; s.of[registry] == 0 {
		delete(s.of, registry)
	}
}
