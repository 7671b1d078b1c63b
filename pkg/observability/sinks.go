package observability

import (
	"context"

	"go.opentelemetry.io/otel/metric"
)

// SinkResult is what became of an event on its way to a sink.
type SinkResult string

// The results. Each event ends as one of delivered, dropped, skipped and failed; it may be
// retried before.
const (
	// SinkDelivered: the sink has taken it.
	SinkDelivered SinkResult = "delivered"
	// SinkRetried: an attempt failed, and there will be another.
	SinkRetried SinkResult = "retried"
	// SinkDropped: it was never sent, since the queue was full or the time was up.
	SinkDropped SinkResult = "dropped"
	// SinkFailed: the sink did not take it, and there is no other attempt.
	SinkFailed SinkResult = "failed"
	// SinkSkipped: it was not sent and need not be, since another replica has sent
	// it, or a summary tells of it.
	SinkSkipped SinkResult = "skipped"
)

// SinkEvents counts n events by what became of them. The sink's name must come
// from the configuration: it is an attribute.
func (i *Instruments) SinkEvents(ctx context.Context, sink string, result SinkResult, n int) {
	if i == nil || n <= 0 {
		return
	}
	i.sinkEvents.Add(ctx, int64(n), i.attributes([5]string{"sink", sink, string(result)}, "sink", "result").add...)
}

// SinkQueue has depth asked for the number of events that wait for each sink,
// by the sink's name, whenever metrics are collected. A sink that is no longer
// configured must not be named any more. It can be called for several parts of the
// program that have different sinks.
func (i *Instruments) SinkQueue(depth func() map[string]int) {
	if i == nil {
		return
	}
	_ = observe(i.meter, func(o metric.Observer) {
		for sink, n := range depth() {
			o.ObserveInt64(i.sinkQueue, int64(n), observed("sink", sink))
		}
	}, i.sinkQueue)
}
