package observability

import (
	"context"
	"sync"
	"time"
)

// RegistryRequest is one attempt to get something of a registry or a notary
// server.
type RegistryRequest struct {
	// Host is who was asked in the first place, before any redirect.
	Host string
	// Kind is what was asked for: one of few words.
	Kind string
	// Answered tells that there was an answer, of whatever kind.
	Answered bool
	// Reason is why it failed; empty if it did not.
	Reason string
	Took   time.Duration
}

// RegistryRequest counts it.
func (i *Instruments) RegistryRequest(ctx context.Context, r RegistryRequest) {
	if i == nil {
		return
	}
	host := i.hosts.label(r.Host, r.Answered)
	i.registryRequests.Add(ctx, 1, i.attributes([5]string{"registry", host, r.Kind}, "host", "kind").add...)
	i.registryDuration.Record(ctx, r.Took.Seconds(), i.attributes([5]string{"host", host}, "host").record...)
	if r.Reason != "" {
		i.registryErrors.Add(ctx, 1, i.attributes([5]string{"error", host, r.Kind, r.Reason}, "host", "kind", "reason").add...)
	}
}

const (
	// maxHosts bounds the hosts that are told from others although no
	// configuration names them: whoever can create a Pod names any host.
	maxHosts = 32
	// otherHosts are all others.
	otherHosts = "other"
)

// hosts are those that have a value of the attribute host of their own: those that
// the configuration names, and the first few others that answer.
type hosts struct {
	mu    sync.RWMutex
	known map[string]bool
	met   map[string]bool
}

func (h *hosts) know(hosts []string) {
	known := make(map[string]bool, len(hosts))
	for _, host := range hosts {
		known[host] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = known
}

func (h *hosts) label(host string, answered bool) string {
	h.mu.RLock()
	named, full := h.known[host] || h.met[host], len(h.met) >= maxHosts
	h.mu.RUnlock()
	if named {
		return host
	}
	if full || !answered {
		return otherHosts
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.met) >= maxHosts {
		return otherHosts
	}
	if h.met == nil {
		h.met = map[string]bool{}
	}
	h.met[host] = true
	return host
}
