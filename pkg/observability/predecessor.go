package observability

import (
	"strconv"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
)

// predecessor counts what Connaisseur 3 has counted, under its names, so that
// dashboards and alerts that know those go on.
// https://github.com/sse-secure-systems/connaisseur/blob/v3.8.0/docs/features/metrics.md
type predecessor struct {
	admitted, denied, late atomic.Int64
	validators             sync.Map // predecessorKey → *predecessorTally
}

type predecessorKey struct{ kind, name string }

type predecessorTally struct{ succeeded, failed, late, cached, children atomic.Int64 }

// PredecessorRequest counts a request to the mutating webhook, the only one that
// Connaisseur 3 had.
func (i *Instruments) PredecessorRequest(allowed, timeout bool) {
	switch {
	case i == nil:
	case allowed:
		i.predecessor.admitted.Add(1)
	case timeout:
		i.predecessor.late.Add(1)
	default:
		i.predecessor.denied.Add(1)
	}
}

// PredecessorImage counts an image of such a request. An approved one is trusted,
// allowed or skipped; skipped tells that its owner was taken at its word.
func (i *Instruments) PredecessorImage(img Image, approved, skipped, timeout bool) {
	if i == nil {
		return
	}
	key := predecessorKey{img.ValidatorType, img.ValidatorName}
	if key.kind == "" {
		key.kind = "unknown"
	}
	kept, ok := i.predecessor.validators.Load(key)
	if !ok {
		kept, _ = i.predecessor.validators.LoadOrStore(key, &predecessorTally{})
	}
	tally := kept.(*predecessorTally)
	switch {
	case approved:
		tally.succeeded.Add(1)
	case timeout:
		tally.late.Add(1)
	default:
		tally.failed.Add(1)
	}
	switch {
	case skipped:
		tally.children.Add(1)
	case img.Cached:
		tally.cached.Add(1)
	}
}

// observe makes the instruments, which share the prefix of the others.
func (p *predecessor) observe(m *maker) {
	requests := m.observedCounter("connaisseur.requests", "{request}", "The total number of admission requests posed to Connaisseur.")
	admitted := m.observedCounter("connaisseur.requests.admitted", "{request}", "The total number of admission requests that were admitted.")
	denied := m.observedCounter("connaisseur.requests.denied", "{request}", "The total number of admission requests that were denied.")
	m.observe(func(o metric.Observer) {
		yes, no, late := p.admitted.Load(), p.denied.Load(), p.late.Load()
		o.ObserveInt64(requests, yes+no+late)
		o.ObserveInt64(admitted, yes)
		o.ObserveInt64(denied, no, observed("timeout", strconv.FormatBool(false)))
		o.ObserveInt64(denied, late, observed("timeout", strconv.FormatBool(true)))
	}, requests, admitted, denied)

	all := m.observedCounter("connaisseur.validations", "{image}", "The total number of image validations performed by Connaisseur.")
	successful := m.observedCounter("connaisseur.validations.successful", "{image}", "The total number of image validations that were successful.")
	failed := m.observedCounter("connaisseur.validations.failed", "{image}", "The total number of image validations that failed.")
	late := m.observedCounter("connaisseur.validations.timeouted", "{image}", "The total number of image validations that timed out.")
	skipped := m.observedCounter("connaisseur.validations.skipped", "{image}", "The total number of image validations that were skipped.")
	m.observe(func(o metric.Observer) {
		p.validators.Range(func(key, tally any) bool {
			k, t := key.(predecessorKey), tally.(*predecessorTally)
			show := func(c metric.Int64ObservableCounter, n int64, pairs ...string) {
				if n > 0 {
					o.ObserveInt64(c, n, observed(append(pairs, "type", k.kind, "validator_name", k.name)...))
				}
			}
			show(all, t.succeeded.Load(), "result", "success")
			show(all, t.failed.Load()+t.late.Load(), "result", "error")
			show(successful, t.succeeded.Load())
			show(failed, t.failed.Load())
			show(late, t.late.Load())
			show(skipped, t.cached.Load(), "reason", "cache hit")
			show(skipped, t.children.Load(), "reason", "automatic approval of child image reference")
			return true
		})
	}, all, successful, failed, late, skipped)
}
