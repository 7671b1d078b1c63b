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

// SharedCacheUse is how a cache that replicas share has been used so far.
type SharedCacheUse struct {
	// Configured tells whether there is to be one, and Up whether it can be used now.
	Configured, Up bool
	// Hits, Misses, Stale, Refused, Failed and Skipped are how often a result was
	// there, was not, was too old, was not authentic, did not come in time, and was
	// not asked for since the cache was out of reach.
	Hits, Misses, Stale, Refused, Failed, Skipped int64
	// Stored, Unstored and Dropped are entries that were stored, that could not be, and
	// for which there was no room or no connection.
	Stored, Unstored, Dropped int64
}

// WatchSharedCache has use asked for whenever metrics are collected.
func (i *Instruments) WatchSharedCache(use func() SharedCacheUse) {
	if i == nil {
		return
	}
	_ = observe(i.meter, func(o metric.Observer) {
		u := use()
		if !u.Configured {
			return
		}
		up := int64(0)
		if u.Up {
			up = 1
		}
		o.ObserveInt64(i.sharedUp, up)
		for result, n := range map[string]int64{"hit": u.Hits, "miss": u.Misses, "stale": u.Stale, "refused": u.Refused, "failed": u.Failed, "skipped": u.Skipped} {
			o.ObserveInt64(i.sharedRequests, n, observed("result", result))
		}
		for result, n := range map[string]int64{"stored": u.Stored, "failed": u.Unstored, "dropped": u.Dropped} {
			o.ObserveInt64(i.sharedWrites, n, observed("result", result))
		}
	}, i.sharedUp, i.sharedRequests, i.sharedWrites)
}
