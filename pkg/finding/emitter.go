package finding

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// An event that was sent to a sink is not sent to it again within window, of which it
// is known for so many.
const (
	window     = 10 * time.Minute
	remembered = 8192
)

// sent is an event that was sent to a sink.
type sent struct{ sink, id string }

// Emitter has events delivered to sinks. Nobody waits for it. Nil has no sinks.
type Emitter struct {
	options Options
	timing  timing

	mu     sync.Mutex // serialises Apply and Close
	closed bool
	ending sync.WaitGroup // queues for which there is no sink any more
	state  atomic.Pointer[state]
	seen   *lru.Cache[sent, time.Time] // when it was
}

// state is what an Emitter does at a time.
type state struct {
	source string
	queues map[string]*queue
}

// Options are those of an Emitter.
type Options struct {
	// Cluster, Namespace and Service are the webhook's, for the events' source.
	// The settings' Cluster comes before this one.
	Cluster, Namespace, Service string
	// Bound is a sink besides those of the settings; nil for none.
	Bound       *Spec
	Instruments *observability.Instruments
	Logger      *zap.Logger
}

// NewEmitter makes an Emitter without sinks.
func NewEmitter(o Options) *Emitter {
	seen, err := lru.New[sent, time.Time](remembered)
	if err != nil {
		panic(err) // it fails for a size of zero only
	}
	e := &Emitter{options: o, timing: defaultTiming, seen: seen}
	e.state.Store(&state{})
	o.Instruments.SinkQueue(e.depths)
	return e
}

// Apply takes settings into force. Sinks keep what waits for them: the same as before,
// and those of the same name with other settings if the old ones do not work soon.
// What waits for others is still delivered if that does.
func (e *Emitter) Apply(settings Settings) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return
	}
	before := e.state.Load()
	now := &state{source: e.source(settings.Cluster), queues: map[string]*queue{}}
	kept := map[*queue]bool{}
	sinks := settings.Sinks
	if e.options.Bound != nil {
		sinks = append(slices.Clone(sinks), *e.options.Bound)
	}
	for _, spec := range sinks {
		if q := before.queues[spec.Name]; q != nil && q.spec.Identity == spec.Identity {
			now.queues[spec.Name], kept[q] = q, true
			continue
		}
		now.queues[spec.Name] = newQueue(spec, e.timing, func(result observability.SinkResult, n int) {
			e.options.Instruments.SinkEvents(context.Background(), spec.Name, result, n)
		}, e.options.Logger)
	}
	e.state.Store(now)
	for _, q := range before.queues {
		if !kept[q] {
			e.ending.Go(func() { e.end(q) })
		}
	}
}

// source is that of the events: the webhook, of which there is one in a cluster.
func (e *Emitter) source(cluster string) string {
	return "/clusters/" + url.PathEscape(cmp.Or(cluster, e.options.Cluster)) + "/namespaces/" + e.options.Namespace + "/services/" + e.options.Service
}

// end closes a queue for which there is no sink any more. What is left is for the sink
// of the same name: of what waits since a Secret is missing or wrong nothing is lost
// when it is there.
func (e *Emitter) end(q *queue) {
	ctx, cancel := context.WithTimeout(context.Background(), e.timing.attempt)
	defer cancel()
	left := q.close(ctx)
	next := e.state.Load().queues[q.spec.Name]
	if next == nil {
		q.drop(len(left))
		return
	}
	for _, event := range left {
		if next.spec.Filter.Match(Type(event.Type()), event.Outcome, event.Namespace) {
			next.put(event)
		} else {
			next.count(observability.SinkSkipped, 1)
		}
	}
}

// Close delivers what waits, until ctx ends. Afterwards nothing is sent any more.
func (e *Emitter) Close(ctx context.Context) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	before := e.state.Swap(&state{})
	var all sync.WaitGroup
	for _, q := range before.queues {
		all.Go(func() { q.drop(len(q.close(ctx))) })
	}
	all.Wait()
	ended := make(chan struct{})
	go func() {
		e.ending.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// depths is how many events wait for each sink.
func (e *Emitter) depths() map[string]int {
	depths := map[string]int{}
	for name, q := range e.state.Load().queues {
		depths[name] = q.depth()
	}
	return depths
}

// Active tells whether there are sinks.
func (e *Emitter) Active() bool { return e != nil && len(e.state.Load().queues) > 0 }

// Decided has the event about an admission delivered. It does not wait.
func (e *Emitter) Decided(a *Admission) { e.emit(a.Type, a.Outcome, a.Namespace, a.event) }

// Tell has an event delivered that is about no admission. Events with the same id
// are the same.
func (e *Emitter) Tell(t Type, subject, identity string, data any) {
	e.emit(t, "", "", func(source string) (Event, error) {
		return newEvent(t, source, subject, id(string(t), subject, identity), time.Now(), data)
	})
}

// emit makes an event if a sink wants it.
func (e *Emitter) emit(t Type, outcome, namespace string, build func(source string) (Event, error)) {
	if e == nil {
		return
	}
	now := e.state.Load()
	var event Event
	for _, q := range now.queues {
		if !q.spec.Filter.Match(t, outcome, namespace) {
			continue
		}
		if event.Context == nil {
			var err error
			if event, err = build(now.source); err != nil {
				e.options.Logger.Error("A finding could not be written", zap.String("type", string(t)), zap.Error(err))
				return
			}
		}
		key := sent{q.spec.Name, event.ID()}
		if at, ok := e.seen.Get(key); ok && time.Since(at) < window {
			continue
		}
		if q.put(event) {
			e.seen.Add(key, time.Now())
		}
	}
}
