package notaryv1

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/semaphore"
)

const (
	// maxRepositories and maxBytes bound the trust data that is kept: what was
	// read takes up to three times the bytes of its files.
	maxRepositories = 10_000
	maxBytes        = 16 << 20
)

// State is what outlives a configuration: the trust data that was verified last,
// which saves asking for it again, and the versions that were seen.
type State struct {
	repositories *store
	// Versions are the highest that were seen of each repository.
	Versions *Versions
	walks    sync.Map // server → *semaphore.Weighted
}

// walksAt bounds what is looked at of a server's that nobody may have signed: one that
// does not answer keeps no other waiting.
func (s *State) walksAt(server string) *semaphore.Weighted {
	walks, _ := s.walks.LoadOrStore(server, semaphore.NewWeighted(walksAtOnce))
	return walks.(*semaphore.Weighted)
}

// NewState makes an empty state.
func NewState() *State {
	return &State{repositories: newStore(), Versions: &Versions{seen: map[string]Seen{}}}
}

// store keeps the repositories that were used last.
type store struct {
	mu    sync.Mutex
	lru   *simplelru.LRU[string, *repository]
	bytes int
}

func newStore() *store {
	s := &store{}
	lru, err := simplelru.NewLRU(maxRepositories, func(_ string, r *repository) { s.bytes -= r.bytes })
	if err != nil {
		panic(err) // a size that is not positive
	}
	s.lru = lru
	return s
}

func (s *store) get(key string) (*repository, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lru.Get(key)
}

func (s *store) put(key string, r *repository) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lru.Remove(key)
	s.bytes += r.bytes
	s.lru.Add(key, r)
	for s.bytes > maxBytes && s.lru.Len() > 0 {
		s.lru.RemoveOldest()
	}
}
