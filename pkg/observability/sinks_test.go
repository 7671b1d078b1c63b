package observability_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/observabilitytest"
)

func TestSinksAreMeasured(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	waiting := map[string]int{"broker": 3, "nats": 0}
	instruments.SinkQueue(func() map[string]int { return waiting })
	instruments.SinkQueue(func() map[string]int { return map[string]int{"slack": 1} }) // another part's
	instruments.SinkEvents(t.Context(), "broker", observability.SinkDelivered, 10)
	instruments.SinkEvents(t.Context(), "broker", observability.SinkDropped, 2)
	instruments.SinkEvents(t.Context(), "broker", observability.SinkDropped, 1)
	instruments.SinkEvents(t.Context(), "nats", observability.SinkRetried, 0)
	want := observabilitytest.Values{
		"connaisseur.sink.queue.depth{sink=broker}":             3,
		"connaisseur.sink.queue.depth{sink=nats}":               0,
		"connaisseur.sink.queue.depth{sink=slack}":              1,
		"connaisseur.sink.events{result=delivered,sink=broker}": 10,
		"connaisseur.sink.events{result=dropped,sink=broker}":   3,
	}
	if diff := cmp.Diff(want, values().Only("connaisseur.sink.")); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	delete(waiting, "nats")
	if _, there := values()["connaisseur.sink.queue.depth{sink=nats}"]; there {
		t.Error("a sink that is not configured any more still has a queue")
	}
}
