package cache

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// key is everything that an outcome depends on.
type key struct {
	fingerprint string // validator, settings and trust material
	identity    validator.Identity
	name        string // registry/repository
	tag         string
	digest      image.Digest
}

func newKey(fingerprint string, req validator.Request) key {
	return key{fingerprint, req.Identity, req.Image.Name(), req.Image.Tag(), req.Image.Digest()}
}

// String is the key for golang.org/x/sync/singleflight. The identity and the
// fingerprint can hold any byte: the one is quoted, the other comes last.
func (k key) String() string {
	return k.name + "\x00" + k.tag + "\x00" + string(k.digest) + "\x00" + strconv.Quote(string(k.identity)) + "\x00" + k.fingerprint
}

// with are the keys that an outcome for this one is for. What was verified for a
// tag holds for the pinned reference too, which is what the validating webhook
// will ask for.
func (k key) with(e entry) []key {
	if k.digest != "" || e.denial != nil {
		return []key{k}
	}
	pinned, bare := k, k
	pinned.digest, bare.digest, bare.tag = e.result.Digest, e.result.Digest, ""
	return []key{pinned, bare, k}
}

// entry is a result or a denial, and until when it may be used.
type entry struct {
	result  validator.Result
	denial  *validator.Error
	stored  time.Time
	expires time.Time // zero: no more than the cache's own expiry
	source  string    // where it was borrowed; empty for what was verified here
}

// outcome is what a validator answers with the entry.
func (e entry) outcome() (validator.Result, error) {
	if e.denial != nil {
		return validator.Result{}, e.denial
	}
	e.result.Cached = true
	return e.result, nil
}

// size estimates the memory that an entry takes, in bytes. The fingerprint is
// shared by all entries of a rule.
func (e entry) size(k key) int {
	const overhead = 400
	n := overhead + len(k.name) + len(k.tag) + len(k.digest) + len(k.identity) + len(e.result.Digest) + len(e.result.Seen)
	for _, name := range slices.Concat(e.result.TrustRoots, e.result.Signers, e.result.Warnings) {
		n += len(name) + 16
	}
	if e.denial != nil {
		n += len(e.denial.Message)
	}
	return n
}

// store is an LRU bounded in entries and bytes.
type store struct {
	mu       sync.Mutex
	lru      *simplelru.LRU[key, entry]
	bytes    int
	maxBytes int
}

func newStore(maxEntries, maxBytes int) *store {
	s := &store{maxBytes: maxBytes}
	s.lru, _ = simplelru.NewLRU(max(maxEntries, 1), func(k key, e entry) { s.bytes -= e.size(k) }) // fails for a size below 1 only
	return s
}

func (s *store) get(k key) (entry, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lru.Get(k)
}

func (s *store) put(k key, e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lru.Remove(k) // an overwritten entry would not be counted out
	s.bytes += e.size(k)
	s.lru.Add(k, e)
	for s.bytes > s.maxBytes && s.lru.Len() > 0 {
		s.lru.RemoveOldest()
	}
}

func (s *store) len() (entries, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lru.Len(), s.bytes
}
