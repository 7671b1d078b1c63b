package observability

import "go.opentelemetry.io/otel/metric"

// CacheUse is how a cache has been used so far.
type CacheUse struct {
	// Hits and Misses are how often a result was there, and was not.
	Hits, Misses int64
	// Entries is how many results are there, Bytes the memory that they take.
	Entries, Bytes int
}

// WatchCache has use asked for whenever metrics are collected.
func (i *Instruments) WatchCache(use func() CacheUse) {
	if i == nil {
		return
	}
	_ = observe(i.meter, func(o metric.Observer) {
		u := use()
		o.ObserveInt64(i.cacheRequests, u.Hits, observed("result", "hit"))
		o.ObserveInt64(i.cacheRequests, u.Misses, observed("result", "miss"))
		o.ObserveInt64(i.cacheEntries, int64(u.Entries))
		o.ObserveInt64(i.cacheSize, int64(u.Bytes))
	}, i.cacheRequests, i.cacheEntries, i.cacheSize)
}
