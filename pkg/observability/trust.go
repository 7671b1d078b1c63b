package observability

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// Refresh counts a fetch of trust material from outside of the cluster; source
// is kms, tuf or secret, result is changed, unchanged or failed.
func (i *Instruments) Refresh(ctx context.Context, source, result string) {
	if i == nil {
		return
	}
	i.refreshes.Add(ctx, 1, i.attributes([5]string{"refresh", source, result}, "source", "result").add...)
}

// WatchTrustMaterial has ages asked for how old the oldest trust material in
// use of each source is, and expiries for when the root of each TUF repository in
// use expires, by its URL, whenever metrics are collected.
func (i *Instruments) WatchTrustMaterial(ages func() map[string]time.Duration, expiries func() map[string]time.Time) {
	if i == nil {
		return
	}
	_ = observe(i.meter, func(o metric.Observer) {
		for source, age := range ages() {
			o.ObserveFloat64(i.materialAge, age.Seconds(), observed("source", source))
		}
		for repository, at := range expiries() {
			o.ObserveFloat64(i.tufExpiry, unix(at), observed("repository", repository))
		}
	}, i.materialAge, i.tufExpiry)
}

// WatchCertificate has expiry asked for when the webhook's own certificate expires, if it
// has one, whenever metrics are collected.
func (i *Instruments) WatchCertificate(expiry func() (at time.Time, ok bool)) {
	if i == nil {
		return
	}
	_ = observe(i.meter, func(o metric.Observer) {
		if at, ok := expiry(); ok {
			o.ObserveFloat64(i.certificateExpiry, unix(at))
		}
	}, i.certificateExpiry)
}

// unix is a time in seconds since 1970.
func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
