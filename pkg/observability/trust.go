package observability

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Refresh counts a fetch of trust material from outside of the cluster; source
// is kms or tuf, result is changed, unchanged or failed.
func (i *Instruments) Refresh(ctx context.Context, source, result string) {
	if i == nil {
		return
	}
	i.refreshes.Add(ctx, 1, metric.WithAttributes(attribute.String("source", source), attribute.String("result", result)))
}

// WatchTrustMaterial has ages asked for how old the oldest trust material in
// use of each source is, whenever metrics are collected.
func (i *Instruments) WatchTrustMaterial(ages func() map[string]time.Duration) {
	if i == nil {
		return
	}
	// It fails only for an instrument of another meter.
	_, _ = i.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for source, age := range ages() {
			o.ObserveFloat64(i.materialAge, age.Seconds(), metric.WithAttributes(attribute.String("source", source)))
		}
		return nil
	}, i.materialAge)
}
