package observability

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// maker makes instruments, and remembers what goes wrong.
type maker struct {
	meter metric.Meter
	errs  []error
}

func (m *maker) err() error { return errors.Join(m.errs...) }

func made[T any](m *maker, instrument T, err error) T {
	if err != nil {
		m.errs = append(m.errs, err)
	}
	return instrument
}

// counter counts units, which by convention stand in braces.
func (m *maker) counter(name, unit, description string) metric.Int64Counter {
	c, err := m.meter.Int64Counter(name, metric.WithDescription(description), metric.WithUnit(unit))
	return made(m, c, err)
}

// buckets reach from a cached answer to the longest timeout, in seconds.
var buckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// duration measures seconds.
func (m *maker) duration(name, description string) metric.Float64Histogram {
	h, err := m.meter.Float64Histogram(name, metric.WithDescription(description), metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets...))
	return made(m, h, err)
}

// gauge is asked for a number when metrics are collected.
func (m *maker) gauge(name, unit, description string) metric.Int64ObservableGauge {
	g, err := m.meter.Int64ObservableGauge(name, metric.WithDescription(description), metric.WithUnit(unit))
	return made(m, g, err)
}

// seconds is asked for a duration, or a time since 1970, when metrics are collected.
func (m *maker) seconds(name, description string) metric.Float64ObservableGauge {
	g, err := m.meter.Float64ObservableGauge(name, metric.WithDescription(description), metric.WithUnit("s"))
	return made(m, g, err)
}

// observedCounter is asked for how much was counted when metrics are collected.
func (m *maker) observedCounter(name, unit, description string) metric.Int64ObservableCounter {
	c, err := m.meter.Int64ObservableCounter(name, metric.WithDescription(description), metric.WithUnit(unit))
	return made(m, c, err)
}

// observe has fn asked for these instruments when metrics are collected.
func (m *maker) observe(fn func(metric.Observer), instruments ...metric.Observable) {
	if err := observe(m.meter, fn, instruments...); err != nil {
		m.errs = append(m.errs, err)
	}
}

// observe fails only for an instrument of another meter.
func observe(meter metric.Meter, fn func(metric.Observer), instruments ...metric.Observable) error {
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		fn(o)
		return nil
	}, instruments...)
	return err
}
