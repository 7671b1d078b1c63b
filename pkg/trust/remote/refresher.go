package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// maxEntries bounds how many things are kept up to date.
const maxEntries = 64

// patienceWindow is how many times Wait has to pass until somebody may wait
// again: who builds a configuration asks for all that it needs in a row.
const patienceWindow = 10

// Options are settings; the zero value has the webhook's.
type Options struct {
	// Wait is how long whoever asks for something for the first time waits for
	// it, in all; half a second if not set.
	Wait time.Duration
	// Timeout bounds one fetch; 20 seconds if not set.
	Timeout time.Duration
	// Grace is for how long something that no configuration in force needs is
	// kept up to date after it was asked for; 10 minutes if not set.
	Grace time.Duration
	// Secrets reads a Secret of any namespace that may be read; nil where there is
	// no cluster.
	Secrets func(ctx context.Context, namespace, name string) (map[string][]byte, error)
	// Logger and Instruments may be nil.
	Logger      *zap.Logger
	Instruments *observability.Instruments
}

// Refresher gives trust material from outside of the cluster, and keeps it up
// to date. It is safe for concurrent use.
type Refresher struct {
	options Options
	sources map[string]source // by trust.Remote's kind
	ctx     context.Context   // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup

	mu        sync.Mutex // guards what follows, and the entries' content
	entries   map[trust.Remote]*entry
	restored  map[trust.Remote]trust.Fetched // what nobody has asked for yet
	listeners []func()
	waiting   time.Time // since when somebody waits, or waited last
}

// source fetches material of one kind. last is what was fetched before; its
// content is nil if nothing was.
type source struct {
	fetch    func(ctx context.Context, last trust.Fetched) (trust.Fetched, error)
	valid    func(content []byte) error
	interval time.Duration
}

// New makes a Refresher, which asks nobody for anything until somebody asks it.
// It has to be closed.
func New(options Options) *Refresher {
	return newRefresher(options, map[string]source{
		trust.KindKMS:    newKeys().source(),
		trust.KindTUF:    repositories{}.source(),
		trust.KindSecret: secrets{options.Secrets}.source(),
	})
}

func newRefresher(options Options, sources map[string]source) *Refresher {
	defaultTo(&options.Wait, 500*time.Millisecond)
	defaultTo(&options.Timeout, 20*time.Second)
	defaultTo(&options.Grace, 10*time.Minute)
	if options.Logger == nil {
		options.Logger = zap.NewNop()
	}
	r := &Refresher{options: options, sources: sources, entries: map[trust.Remote]*entry{}, restored: map[trust.Remote]trust.Fetched{}}
	r.ctx, r.end = context.WithCancel(context.Background())
	options.Instruments.WatchTrustMaterial(r.ages, r.expiries)
	return r
}

func defaultTo(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Close ends all fetching and waits for that. What was fetched can still be
// asked for.
func (r *Refresher) Close() {
	r.end()
	r.running.Wait()
}

// OnChange has fn called whenever something that was asked for has become
// available or has changed. It must not wait for long.
func (r *Refresher) OnChange(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners = append(r.listeners, fn)
}

// Remote implements that part of trust.Source. It waits for the first fetch
// only, and not for long; every error is trust.ErrUnavailable.
func (r *Refresher) Remote(where trust.Remote) ([]byte, error) {
	e, err := r.entry(where)
	if err != nil {
		return nil, fmt.Errorf("it %w: %w", trust.ErrUnavailable, err)
	}
	select {
	case <-e.tried:
	default:
		timer := time.NewTimer(r.patience())
		defer timer.Stop()
		select {
		case <-e.tried:
		case <-timer.C:
		case <-r.ctx.Done():
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e.last.Content != nil:
		return slices.Clone(e.last.Content), nil
	case e.err != nil:
		return nil, fmt.Errorf("it %w: %w", trust.ErrUnavailable, e.err)
	}
	return nil, fmt.Errorf("it %w yet: it is being fetched", trust.ErrUnavailable)
}

// patience is how long somebody may still wait.
func (r *Refresher) patience() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.waiting) > patienceWindow*r.options.Wait {
		r.waiting = now
	}
	return r.waiting.Add(r.options.Wait).Sub(now)
}

// entry finds an entry, or makes one, which has it fetched.
func (r *Refresher) entry(where trust.Remote) (*entry, error) {
	if err := where.Check(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.entries[where]; e != nil {
		e.asked = time.Now()
		return e, nil
	}
	if r.ctx.Err() != nil {
		return nil, errors.New("nothing is fetched any more")
	}
	if len(r.entries) >= maxEntries && !r.evict() {
		return nil, fmt.Errorf("more than %d keys and repositories outside of the cluster are in use", maxEntries)
	}
	e := &entry{where: where, tried: make(chan struct{}), asked: time.Now(), last: trust.Fetched{Where: where}}
	if before, ok := r.restored[where]; ok {
		e.last = before
		delete(r.restored, where)
	}
	r.entries[where] = e
	ctx, cancel := context.WithCancel(r.ctx)
	e.cancel = cancel
	r.running.Go(func() { r.keepFresh(ctx, e) })
	return e, nil
}

// evict makes room by what was asked for the longest ago and is not in use. It
// tells whether there was something.
func (r *Refresher) evict() bool {
	var oldest *entry
	for _, e := range r.entries {
		if !e.retained && (oldest == nil || e.asked.Before(oldest.asked)) {
			oldest = e
		}
	}
	if oldest == nil {
		return false
	}
	r.drop(oldest)
	return true
}

func (r *Refresher) drop(e *entry) {
	e.cancel()
	if r.entries[e.where] == e {
		delete(r.entries, e.where)
	}
}
