package alert

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// What becomes of alerts is counted as of findings, with the receivers' names.
func TestAlertsAreCounted(t *testing.T) {
	t.Parallel()
	reader := sdk.NewManualReader()
	instruments, err := observability.New(sdk.NewMeterProvider(sdk.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	good, bad := newPeople(t, status(503)), newPeople(t, misbehaving(t)["refuses"].answer)
	named := func(p *people, name string, required bool) Receiver {
		return p.receiver(t, map[string]any{"name": name, "failIfAlertSendingFails": required, "maxPerMinute": 2})
	}
	a, _ := alerting(t, Options{Instruments: instruments}, Settings{
		Admit:  []Receiver{named(good, "must", true), named(bad, "must-bad", true)},
		Reject: []Receiver{named(good, "limited", false), named(bad, "refuses", false)},
	})
	for i := range 5 {
		_ = a.Send(t.Context(), denied(fmt.Sprint("bad-", i)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	a.Close(ctx)
	if err := a.Send(t.Context(), admitted("good")); err == nil {
		t.Error("a receiver that refuses has taken it")
	}
	got := map[string]int64{}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "connaisseur.sink.events" {
			for _, p := range sum.DataPoints {
				got[label(p.Attributes, "sink")+" "+label(p.Attributes, "result")] = p.Value
			}
		}
	}
	want := map[string]int64{
		"limited retried": 1, "limited delivered": 2, "limited skipped": 3,
		"refuses failed": 2, "refuses skipped": 3,
		"must delivered": 1, "must-bad failed": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("connaisseur.sink.events (-want +got):\n%s", diff)
	}
}

func label(of attribute.Set, name attribute.Key) string {
	value, _ := of.Value(name)
	return value.AsString()
}
