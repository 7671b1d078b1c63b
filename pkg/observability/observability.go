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
	meter             metric.Meter

	// sets keeps attribute sets, of which there are few, so that an
	// admission need not build them.
	sets sync.Map // [4]string → metric.MeasurementOption
}

// buckets reach from a cached answer to the longest timeout, in seconds.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// New creates the instruments.
func New(provider metric.MeterProvider) (*Instruments, error) {
	meter := provider.Meter(scope)
	i := &Instruments{meter: meter}
	var errs [8]error
	i.admissions, errs[0] = meter.Int64Counter("connaisseur.admissions",
		metric.WithDescription("Admission requests by webhook, outcome and reason."), metric.WithUnit("{request}"))
	i.admissionDuration, errs[1] = meter.Float64Histogram("connaisseur.admission.duration",
		metric.WithDescription("Time to answer an admission request."), metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets...))
	i.images, errs[2] = meter.Int64Counter("connaisseur.images",
		metric.WithDescription("Images decided about, by outcome, reason and whether the result was cached."), metric.WithUnit("{image}"))
	i.imageDuration, errs[3] = meter.Float64Histogram("connaisseur.image.duration",
		metric.WithDescription("Time to decide about an image."), metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets...))
	i.reloads, errs[4] = meter.Int64Counter("connaisseur.config.reloads",
		metric.WithDescription("Configurations offered, by whether they were applied, rejected or restored."), metric.WithUnit("{reload}"))
	i.reloadDuration, errs[5] = meter.Float64Histogram("connaisseur.config.reload.duration",
		metric.WithDescription("Time to build a configuration."), metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets...))
	i.refreshes, errs[6] = meter.Int64Counter("connaisseur.trust.refreshes",
		metric.WithDescription("Fetches of trust material from outside of the cluster, by source and whether it changed, did not, or failed."), metric.WithUnit("{refresh}"))
	i.materialAge, errs[7] = meter.Float64ObservableGauge("connaisseur.trust.material.age",
		metric.WithDescription("Time since the oldest trust material in use of each source was fetched."), metric.WithUnit("s"))
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return i, nil
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
