package remote

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// A failed fetch is tried again after minBackoff, then after twice that, and so
// on up to maxBackoff.
const (
	minBackoff = time.Second
	maxBackoff = 4 * time.Minute
)

// entry is one thing that is kept up to date, by one goroutine of its own, so
// that there is never more than one fetch of it. The Refresher's mutex guards
// its other fields.
type entry struct {
	where    trust.Remote  // does not change
	tried    chan struct{} // closed when the first fetch has ended
	cancel   context.CancelFunc
	asked    time.Time
	retained bool
	last     trust.Fetched // its content is nil as long as there is none
	err      error         // of the newest fetch
}

// keepFresh fetches until nobody needs it any more.
func (r *Refresher) keepFresh(ctx context.Context, e *entry) {
	source := r.sources[e.where.Kind()]
	failures := 0
	for first := true; ; first = false {
		err := r.refresh(ctx, source, e)
		if first {
			close(e.tried)
		}
		pause := spread(source.interval)
		if err != nil {
			pause = spread(min(minBackoff<<min(failures, 20), maxBackoff))
			failures++
		} else {
			failures = 0
		}
		if !r.sleep(ctx, e, pause) {
			return
		}
	}
}

// spread keeps many replicas from asking at the same time.
func spread(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // nobody gains from guessing it
}

// sleep waits, and tells whether the entry is still needed then.
func (r *Refresher) sleep(ctx context.Context, e *entry, pause time.Duration) bool {
	for until := time.Now().Add(pause); ; {
		timer := time.NewTimer(min(time.Until(until), r.options.Grace))
		select {
		case <-ctx.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		if r.forget(e) {
			return false
		}
		if !time.Now().Before(until) {
			return true
		}
	}
}

// forget drops the entry if nobody has needed it for a while.
func (r *Refresher) forget(e *entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.retained || time.Since(e.asked) < r.options.Grace {
		return false
	}
	r.drop(e)
	return true
}

// refresh fetches once. What was there before stays if that fails.
func (r *Refresher) refresh(ctx context.Context, s source, e *entry) error {
	r.mu.Lock()
	last := e.last
	r.mu.Unlock()
	bounded, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	got, err := s.fetch(bounded, last)
	switch {
	case err == nil:
		if err = s.valid(got.Content); err != nil {
			err = fmt.Errorf("what it gave %w", err)
		}
	case ctx.Err() != nil:
		return err // to be told to end is no failure
	case bounded.Err() != nil:
		err = fmt.Errorf("it gave no answer within %s: %w", r.options.Timeout, err)
	}
	err = brief(err)
	r.settle(e, got, err)
	return err
}

// settle takes the result of a fetch in and tells those who want to know.
func (r *Refresher) settle(e *entry, got trust.Fetched, err error) {
	r.mu.Lock()
	before, failed := e.last, e.err != nil
	e.err = err
	if err == nil {
		got.Where, got.At = before.Where, time.Now()
		e.last = got
	}
	changed := err == nil && !bytes.Equal(before.Content, got.Content)
	listeners := r.listeners
	r.mu.Unlock()

	r.log(before, changed, failed, err)
	if changed {
		for _, fn := range listeners {
			fn()
		}
	}
}

// log writes when a source fails, recovers or has something new, but not each
// time that it was tried in vain again.
func (r *Refresher) log(before trust.Fetched, changed, failed bool, err error) {
	kind, result := before.Where.Kind(), "unchanged"
	logger := r.options.Logger.With(zap.Stringer("source", before.Where))
	switch {
	case err != nil && failed:
		result = "failed"
		logger.Debug("Trust material still cannot be fetched", zap.Error(err))
	case err != nil && before.Content != nil:
		result = "failed"
		logger.Error("Trust material cannot be refreshed; what was fetched before stays in force", zap.Time("fetched", before.At), zap.Error(err))
	case err != nil:
		result = "failed"
		logger.Error("Trust material cannot be fetched; what needs it cannot be checked", zap.Error(err))
	case changed:
		result = "changed"
		logger.Info("Trust material was fetched")
	case failed:
		logger.Info("Trust material can be refreshed again")
	}
	r.options.Instruments.Refresh(r.ctx, kind, result)
}
