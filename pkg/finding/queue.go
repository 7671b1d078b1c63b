package finding

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// A sink's queue holds so many events and bytes of them at most.
const (
	maxQueued      = 4096
	maxQueuedBytes = 8 << 20
)

// timing is how a queue waits; tests are faster.
type timing struct {
	attempt  time.Duration // for one delivery
	first    time.Duration // before the second attempt; doubles with each
	longest  time.Duration // between attempts
	give     time.Duration // from the first attempt to the last
	complain time.Duration // between log lines about the same sink
}

var defaultTiming = timing{attempt: 10 * time.Second, first: 500 * time.Millisecond, longest: time.Minute, give: 15 * time.Minute, complain: time.Minute}

// queue holds the events for one sink, and delivers them in their order.
type queue struct {
	spec   Spec
	timing timing
	count  func(result observability.SinkResult, n int)
	logger *zap.Logger

	mu      sync.Mutex
	waiting []Event
	bytes   int
	lost    int // since the last complaint
	told    time.Time
	closing bool
	wake    chan struct{} // has room for one
	done    chan struct{} // closed when the worker has ended
	cancel  context.CancelFunc

	sink Sink // the worker's
}

func newQueue(spec Spec, t timing, count func(observability.SinkResult, int), logger *zap.Logger) *queue {
	ctx, cancel := context.WithCancel(context.Background())
	q := &queue{spec: spec, timing: t, count: count, logger: logger.With(zap.String("sink", spec.Name)), wake: make(chan struct{}, 1), done: make(chan struct{}), cancel: cancel}
	go q.work(ctx)
	return q
}

// put has an event delivered. It never waits: an event for which there is no room
// is dropped, and put says so.
func (q *queue) put(e Event) bool {
	for name, value := range q.spec.Extensions {
		e.Event = e.Clone()
		e.SetExtension(name, value)
	}
	q.mu.Lock()
	full := len(q.waiting) >= maxQueued || q.bytes+e.size() > maxQueuedBytes || q.closing
	if full {
		q.lost++
	} else {
		q.waiting = append(q.waiting, e)
		q.bytes += e.size()
	}
	q.mu.Unlock()
	if full {
		q.count(observability.SinkDropped, 1)
		q.complain("Findings are dropped, since the sink does not take them fast enough; the log has a line for each decision", nil)
		return false
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// depth is how many events wait.
func (q *queue) depth() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// close has what waits delivered until ctx ends, and ends the queue. It gives what is
// left.
func (q *queue) close(ctx context.Context) []Event {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	select {
	case <-q.done:
	case <-ctx.Done():
	}
	q.cancel()
	<-q.done
	return q.waiting
}

// drop tells of events that are left and that nobody sends any more.
func (q *queue) drop(n int) {
	if n > 0 {
		q.count(observability.SinkDropped, n)
		q.logger.Error("Findings are dropped, since there was no time left to send them", zap.Int("findings", n))
	}
}

// work delivers until the queue is closed and empty, or ctx ends.
func (q *queue) work(ctx context.Context) {
	defer close(q.done)
	defer func() {
		if q.sink != nil {
			q.sink.Close()
		}
	}()
	for {
		batch, closing := q.first()
		switch {
		case len(batch) > 0:
			if !q.deliver(ctx, batch) {
				return
			}
			q.remove(len(batch))
		case closing:
			return
		}
		if ctx.Err() != nil {
			return
		}
		if len(batch) == 0 {
			select {
			case <-q.wake:
			case <-ctx.Done():
			}
		}
	}
}

// first is the next batch, which stays in the queue until it is delivered.
func (q *queue) first() (batch []cloudevents.Event, closing bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.waiting[:min(len(q.waiting), max(q.spec.Batch, 1))] {
		batch = append(batch, e.Event)
	}
	return batch, q.closing
}

func (q *queue) remove(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.waiting[:n] {
		q.bytes -= q.waiting[i].size()
		q.waiting[i] = Event{} // its data can go before the array does
	}
	if q.waiting = q.waiting[n:]; len(q.waiting) == 0 {
		q.waiting = nil
	}
}

// deliver tries until it is done, or there is no use any more. It says no if ctx ends
// before.
func (q *queue) deliver(ctx context.Context, batch []cloudevents.Event) bool {
	begin := time.Now()
	pause := q.timing.first
	for {
		err := q.attempt(ctx, batch)
		switch {
		case err == nil:
			q.count(observability.SinkDelivered, len(batch))
			return true
		case errors.Is(err, ErrSkipped):
			q.count(observability.SinkSkipped, len(batch))
			return true
		}
		// Each waits for a different time, so that replicas do not come all at once.
		wait := pause/2 + rand.N(pause/2+1) //nolint:gosec // nobody gains by guessing it
		if asked := Wait(err); asked > wait {
			wait = min(asked, q.timing.longest)
		}
		switch {
		case IsPermanent(err) && len(batch) > 1: // one of them may be at fault
			for i := range batch {
				if !q.deliver(ctx, batch[i:i+1]) {
					return false
				}
			}
			return true
		case IsPermanent(err), time.Since(begin)+wait > q.timing.give:
			q.count(observability.SinkFailed, len(batch))
			q.logger.Error("Findings could not be delivered and are given up", zap.Int("findings", len(batch)), zap.Duration("after", time.Since(begin)), zap.Error(err))
			return true
		case ctx.Err() != nil:
			return false
		}
		q.count(observability.SinkRetried, len(batch))
		q.complain("Findings cannot be delivered; it is tried again", err)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
		pause = min(2*pause, q.timing.longest)
	}
}

// attempt tries once.
func (q *queue) attempt(ctx context.Context, batch []cloudevents.Event) (err error) {
	ctx, cancel := context.WithTimeout(ctx, q.timing.attempt)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = Permanent(fmt.Errorf("panic: %v", p))
		}
	}()
	if q.sink == nil {
		if q.sink, err = q.spec.Open(ctx); err != nil {
			q.sink = nil
			return fmt.Errorf("cannot connect: %w", err)
		}
	}
	return q.sink.Send(ctx, batch)
}

// complain writes a line to the log, but not too often.
func (q *queue) complain(message string, err error) {
	q.mu.Lock()
	quiet := time.Since(q.told) < q.timing.complain
	waiting, lost := len(q.waiting), q.lost
	if !quiet {
		q.told, q.lost = time.Now(), 0
	}
	q.mu.Unlock()
	if !quiet {
		q.logger.Warn(message, zap.Int("waiting", waiting), zap.Int("dropped", lost), zap.Error(err))
	}
}
