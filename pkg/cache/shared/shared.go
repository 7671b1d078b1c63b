package shared

import (
	"context"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// Cache is what is configured now. It is safe for concurrent use.
type Cache struct {
	mu       sync.Mutex // serialises changes
	identity string
	current  atomic.Pointer[session]
	counts   counts
	// What is said, about each, at most once in a while.
	refusals, unstored occasionally
}

var _ cache.Shared = (*Cache)(nil)

// session is a Redis, for as long as its settings stay the same.
type session struct {
	link   *link // nil if it cannot be used
	sealer *sealer
	logger *zap.Logger
}

// counts are how often what has happened.
type counts struct {
	hits, misses, stale, refused, failed, skipped atomic.Int64
	stored, unstored, dropped                     atomic.Int64
}

// Apply takes settings into use; those of before are in use no more when it
// returns. The cluster's identity keeps its entries apart from those of others.
func (c *Cache) Apply(settings Settings, cluster string, logger *zap.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if settings.identity == c.identity {
		return
	}
	c.identity = settings.identity
	var next *session
	if settings.identity != "" {
		next = &session{logger: logger}
		err := settings.missing
		if err == nil {
			next.sealer, err = newSealer(settings.secret, cluster, buildOf(debug.ReadBuildInfo()))
		}
		if err != nil {
			logger.Warn("The shared cache is switched off; each replica verifies by itself", zap.String("reason", err.Error()))
		} else {
			next.link = newLink(settings, logger)
		}
	}
	before := c.current.Swap(next)
	if next == nil {
		logger.Info("The shared cache is switched off, as configured")
	}
	if before != nil && before.link != nil {
		before.link.close()
	}
}

// Close ends the use of the cache.
func (c *Cache) Close() { c.Apply(Settings{}, "", zap.NewNop()) }

// Use tells how the cache has been used so far.
func (c *Cache) Use() observability.SharedCacheUse {
	use := observability.SharedCacheUse{
		Hits: c.counts.hits.Load(), Misses: c.counts.misses.Load(), Stale: c.counts.stale.Load(),
		Refused: c.counts.refused.Load(), Failed: c.counts.failed.Load(), Skipped: c.counts.skipped.Load(),
		Stored: c.counts.stored.Load(), Unstored: c.counts.unstored.Load(), Dropped: c.counts.dropped.Load(),
	}
	if s := c.current.Load(); s != nil {
		use.Configured, use.Up = true, s.connection() != nil
	}
	return use
}

// connection is nil if there is none that works.
func (s *session) connection() *conn {
	if s.link == nil {
		return nil
	}
	c := s.link.live.Load()
	if c == nil || c.failed() {
		return nil
	}
	return c
}

// Load implements cache.Shared.
func (c *Cache) Load(ctx context.Context, name cache.Name) (cache.Established, bool) {
	s := c.current.Load()
	if s == nil {
		return cache.Established{}, false
	}
	conn := s.connection()
	if conn == nil {
		c.counts.skipped.Add(1)
		return cache.Established{}, false
	}
	// One byte more than an entry may have, and no more, whatever is there.
	a, err := conn.ask(ctx, patience, "GETRANGE", s.sealer.place(name), "0", strconv.Itoa(maxEntry))
	switch {
	case err != nil:
		c.counts.failed.Add(1)
		return cache.Established{}, false
	case a.failure == "WRONGTYPE":
		return c.refuse(s, errForged)
	case a.failure != "":
		c.counts.failed.Add(1)
		conn.fail(a.failed()) // it is of no use like that, and said once
		return cache.Established{}, false
	case len(a.text) == 0:
		c.counts.misses.Add(1)
		return cache.Established{}, false
	}
	e, err := s.sealer.open(name, a.text, time.Now())
	if err != nil {
		return c.refuse(s, err)
	}
	c.counts.hits.Add(1)
	return e, true
}

func (c *Cache) refuse(s *session, why error) (cache.Established, bool) {
	if why == errStale { //nolint:errorlint // it is not wrapped
		c.counts.stale.Add(1)
		return cache.Established{}, false
	}
	c.counts.refused.Add(1)
	if c.refusals.now() {
		s.logger.Warn("An entry of the shared cache is refused, and the image verified instead: somebody else writes to Redis, or has changed an entry", zap.String("reason", why.Error()))
	}
	return cache.Established{}, false
}

// Store implements cache.Shared. What there is no room for is not stored.
func (c *Cache) Store(names []cache.Name, e cache.Established) {
	s := c.current.Load()
	left := time.Until(e.Until)
	if s == nil || left < time.Millisecond {
		return
	}
	conn, text := s.connection(), write(e)
	for _, name := range names {
		if conn == nil || text == nil || !conn.try(c.settle(s, conn), "SET", s.sealer.place(name), string(s.sealer.seal(name, text)), "PX", strconv.FormatInt(left.Milliseconds(), 10)) {
			c.counts.dropped.Add(1)
		}
	}
}

// settle counts what became of an entry. A Redis that was the primary, and is a
// replica now, is to be looked for anew.
func (c *Cache) settle(s *session, from *conn) func(answer) {
	return func(a answer) {
		err := a.failed()
		if err == nil {
			c.counts.stored.Add(1)
			return
		}
		c.counts.unstored.Add(1)
		if a.failure == "READONLY" {
			from.fail(err)
		}
		if c.unstored.now() {
			s.logger.Warn("Results cannot be stored in the shared cache", zap.String("reason", err.Error()))
		}
	}
}

// Forget implements cache.Shared.
func (c *Cache) Forget(name cache.Name) {
	if s := c.current.Load(); s != nil {
		if conn := s.connection(); conn != nil {
			conn.try(func(answer) {}, "DEL", s.sealer.place(name))
		}
	}
}
