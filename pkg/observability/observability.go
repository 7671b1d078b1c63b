// Package observability holds the OpenTelemetry instruments and the spans of
// traces. The attributes of metrics have few values: none of them is chosen by
// whoever sends a request.
//
// A metric connaisseur.config.age in seconds is connaisseur_config_age_seconds for
// Prometheus, and a counter has _total at its end.
package observability

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// scope names the instruments' origin.
const scope = "github.com/sse-secure-systems/connaisseur"

// Instruments are the system's own metrics. Nil records nothing.
type Instruments struct {
	meter metric.Meter

	admissions        metric.Int64Counter
	admissionDuration metric.Float64Histogram
	images            metric.Int64Counter
	imageDuration     metric.Float64Histogram
	reloads           metric.Int64Counter
	reloadDuration    metric.Float64Histogram
	refreshes         metric.Int64Counter
	materialAge       metric.Float64ObservableGauge
	tufExpiry         metric.Float64ObservableGauge
	certificateExpiry metric.Float64ObservableGauge
	registryRequests  metric.Int64Counter
	registryErrors    metric.Int64Counter
	registryDuration  metric.Float64Histogram
	cacheRequests     metric.Int64ObservableCounter
	cacheEntries      metric.Int64ObservableGauge
	cacheSize         metric.Int64ObservableGauge
	sharedUp          metric.Int64ObservableGauge
	sharedRequests    metric.Int64ObservableCounter
	sharedWrites      metric.Int64ObservableCounter
	sinkEvents        metric.Int64Counter
	sinkQueue         metric.Int64ObservableGauge

	predecessor predecessor
	hosts       hosts
	lastReload  atomic.Pointer[reload]
	inForce     atomic.Pointer[inForce]
	expiries    atomic.Pointer[[]Expiry]

	// sets keeps attribute sets, of which there are few, so that an
	// admission need not build them.
	sets sync.Map // [5]string → *set
}

// New creates the instruments.
func New(provider metric.MeterProvider) (*Instruments, error) {
	m := maker{meter: provider.Meter(scope)}
	i := &Instruments{
		meter:             m.meter,
		admissions:        m.counter("connaisseur.admissions", "{request}", "Admission requests by webhook, outcome and reason."),
		admissionDuration: m.duration("connaisseur.admission.duration", "Time to answer an admission request, by webhook, outcome and reason."),
		images:            m.counter("connaisseur.images", "{image}", "Images decided about, by outcome, reason, type of validator and whether the result was cached."),
		imageDuration:     m.duration("connaisseur.image.duration", "Time to decide about an image, by type of validator and whether the result was cached."),
		reloads:           m.counter("connaisseur.config.reloads", "{reload}", "Configurations offered, by whether they were applied, rejected or restored."),
		reloadDuration:    m.duration("connaisseur.config.reload.duration", "Time to build a configuration."),
		refreshes:         m.counter("connaisseur.trust.refreshes", "{refresh}", "Fetches of trust material from outside of the cluster, by source and whether it changed, did not, or failed."),
		materialAge:       m.seconds("connaisseur.trust.material.age", "Time since the oldest trust material in use of each source was fetched."),
		tufExpiry:         m.seconds("connaisseur.trust.tuf.expiry.timestamp", "When the root of each TUF repository expires, since 1970."),
		certificateExpiry: m.seconds("connaisseur.webhook.certificate.expiry.timestamp", "When the certificate expires that the webhook serves, since 1970."),
		registryRequests:  m.counter("connaisseur.registry.requests", "{request}", "Requests to registries and notary servers, each attempt, by host and kind."),
		registryErrors:    m.counter("connaisseur.registry.errors", "{request}", "Those that failed, by host, kind and reason."),
		registryDuration:  m.duration("connaisseur.registry.request.duration", "Time until a registry's answer was read, by host."),
		cacheRequests:     m.observedCounter("connaisseur.cache.requests", "{request}", "Verifications asked of the cache, by whether the result was there."),
		cacheEntries:      m.gauge("connaisseur.cache.entries", "{entry}", "Results in the cache."),
		cacheSize:         m.gauge("connaisseur.cache.size", "By", "Memory that the cache's results take, estimated."),
		sharedUp:          m.gauge("connaisseur.cache.shared.up", "", "1 if the cache that replicas share can be used now, 0 if not."),
		sharedRequests:    m.observedCounter("connaisseur.cache.shared.requests", "{request}", "Results asked of the cache that replicas share, by what came of it."),
		sharedWrites:      m.observedCounter("connaisseur.cache.shared.writes", "{entry}", "Results for the cache that replicas share, by whether they were stored."),
		sinkEvents:        m.counter("connaisseur.sink.events", "{event}", "Events for each sink, by whether they were delivered, retried, dropped, skipped or have failed."),
		sinkQueue:         m.gauge("connaisseur.sink.queue.depth", "{event}", "Events that wait for each sink."),
	}
	i.observeConfiguration(&m)
	i.predecessor.observe(&m)
	return i, m.err()
}

// Admission counts an answer to an admission request.
func (i *Instruments) Admission(ctx context.Context, webhook, outcome, reason string, took time.Duration) {
	if i == nil {
		return
	}
	set := i.attributes([5]string{"webhook", webhook, outcome, reason}, "webhook", "outcome", "reason")
	i.admissions.Add(ctx, 1, set.add...)
	i.admissionDuration.Record(ctx, took.Seconds(), set.record...)
}

// Image is a decision about an image.
type Image struct {
	Outcome, Reason string
	// ValidatorType and ValidatorName are those of the rule that applied; empty
	// if none did.
	ValidatorType, ValidatorName string
	// Cached tells that the result was remembered.
	Cached bool
	Took   time.Duration
}

// Image counts a decision about an image.
func (i *Instruments) Image(ctx context.Context, img Image) {
	if i == nil {
		return
	}
	hit, validator := "miss", img.ValidatorType
	if img.Cached {
		hit = "hit"
	}
	if validator == "" {
		validator = "none"
	}
	i.images.Add(ctx, 1, i.attributes([5]string{"image", img.Outcome, img.Reason, validator, hit}, "outcome", "reason", "validator", "cache").add...)
	i.imageDuration.Record(ctx, img.Took.Seconds(), i.attributes([5]string{"validator", validator, hit}, "validator", "cache").record...)
}

// set is a set of attributes, ready for use.
type set struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// attributes gives the set of these names, whose values follow in the key after
// what tells the key from those of other sets.
func (i *Instruments) attributes(key [5]string, names ...string) *set {
	if kept, ok := i.sets.Load(key); ok {
		return kept.(*set)
	}
	var all []attribute.KeyValue
	for n, value := range key[1 : 1+len(names)] {
		all = append(all, attribute.String(names[n], value))
	}
	option := metric.WithAttributeSet(attribute.NewSet(all...))
	made := &set{add: []metric.AddOption{option}, record: []metric.RecordOption{option}}
	i.sets.Store(key, made)
	return made
}

// observed is a set of these names and values, each after its name.
func observed(pairs ...string) metric.ObserveOption {
	var all []attribute.KeyValue
	for pair := range slices.Chunk(pairs, 2) {
		all = append(all, attribute.String(pair[0], pair[1]))
	}
	return metric.WithAttributeSet(attribute.NewSet(all...))
}
