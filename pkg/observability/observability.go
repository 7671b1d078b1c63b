// Package observability holds the OpenTelemetry instruments. Attributes have
// few values: none of them is chosen by whoever sends a request.
package observability

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// scope names the instruments' origin.
const scope = "github.com/sse-secure-systems/connaisseur"

// Instruments are the system's own metrics. Nil records nothing.
type Instruments struct {
	admissions        metric.Int64Counter
	admissionDuration metric.Float64Histogram
	images            metric.Int64Counter
	imageDuration     metric.Float64Histogram
	reloads           metric.Int64Counter
	reloadDuration    metric.Float64Histogram
	refreshes         metric.Int64Counter
	materialAge       metric.Float64ObservableGauge
	sinkEvents        metric.Int64Counter
	sinkQueue         metric.Int64ObservableGauge
	meter             metric.Meter

	// sets keeps attribute sets, of which there are few, so that an
	// admission need not build them.
	sets sync.Map // [4]string → metric.MeasurementOption
}

// New creates the instruments.
func New(provider metric.MeterProvider) (*Instruments, error) {
	m := maker{meter: provider.Meter(scope)}
	i := &Instruments{
		meter:             m.meter,
		admissions:        m.counter("connaisseur.admissions", "{request}", "Admission requests by webhook, outcome and reason."),
		admissionDuration: m.duration("connaisseur.admission.duration", "Time to answer an admission request."),
		images:            m.counter("connaisseur.images", "{image}", "Images decided about, by outcome, reason and whether the result was cached."),
		imageDuration:     m.duration("connaisseur.image.duration", "Time to decide about an image."),
		reloads:           m.counter("connaisseur.config.reloads", "{reload}", "Configurations offered, by whether they were applied, rejected or restored."),
		reloadDuration:    m.duration("connaisseur.config.reload.duration", "Time to build a configuration."),
		refreshes:         m.counter("connaisseur.trust.refreshes", "{refresh}", "Fetches of trust material from outside of the cluster, by source and whether it changed, did not, or failed."),
		materialAge:       m.seconds("connaisseur.trust.material.age", "Time since the oldest trust material in use of each source was fetched."),
		sinkEvents:        m.counter("connaisseur.sink.events", "{event}", "Events for each sink, by whether they were delivered, retried, dropped, skipped or have failed."),
		sinkQueue:         m.gauge("connaisseur.sink.queue.depth", "{event}", "Events that wait for each sink."),
	}
	return i, m.err()
}

// Admission counts an answer to an admission request.
func (i *Instruments) Admission(ctx context.Context, webhook, outcome, reason string, took time.Duration) {
	if i == nil {
		return
	}
	set := i.attributes([4]string{"webhook", webhook, outcome, reason}, func() []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("webhook", webhook), attribute.String("outcome", outcome), attribute.String("reason", reason)}
	})
	i.admissions.Add(ctx, 1, set)
	i.admissionDuration.Record(ctx, took.Seconds(), set)
}

// Image counts a decision about an image.
func (i *Instruments) Image(ctx context.Context, outcome, reason string, cached bool, took time.Duration) {
	if i == nil {
		return
	}
	hit := "miss"
	if cached {
		hit = "hit"
	}
	set := i.attributes([4]string{"image", outcome, reason, hit}, func() []attribute.KeyValue {
		return []attribute.KeyValue{attribute.String("outcome", outcome), attribute.String("reason", reason), attribute.String("cache", hit)}
	})
	i.images.Add(ctx, 1, set)
	i.imageDuration.Record(ctx, took.Seconds(), set)
}

// Reload counts a configuration that was offered; result is applied, rejected
// or restored.
func (i *Instruments) Reload(ctx context.Context, result string, took time.Duration) {
	if i == nil {
		return
	}
	set := metric.WithAttributes(attribute.String("result", result))
	i.reloads.Add(ctx, 1, set)
	i.reloadDuration.Record(ctx, took.Seconds(), set)
}

func (i *Instruments) attributes(key [4]string, build func() []attribute.KeyValue) metric.MeasurementOption {
	if set, ok := i.sets.Load(key); ok {
		return set.(metric.MeasurementOption)
	}
	set := metric.WithAttributeSet(attribute.NewSet(build()...))
	i.sets.Store(key, set)
	return set
}
