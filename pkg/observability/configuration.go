package observability

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/metric"
)

// The results of a reload.
const (
	// Applied: what was offered is in force.
	Applied = "applied"
	// Rejected: it is not good, and nothing has changed.
	Rejected = "rejected"
	// Restored: what was in force before a restart is in force.
	Restored = "restored"
)

type (
	// reload is the last one.
	reload struct {
		applied bool
		at      time.Time
	}
	// inForce is the configuration that is.
	inForce struct {
		revision string
		since    time.Time
	}
)

// Expiry is when trust material of the configuration expires.
type Expiry struct {
	// Validator is the name of the validator that has it.
	Validator string
	// TrustRoot is the name of the trust root, or the key of the validator that
	// the material is from.
	TrustRoot string
	At        time.Time
}

// Reload counts a configuration that was offered. The revision is that of the one
// in force after it; empty if none is.
func (i *Instruments) Reload(ctx context.Context, result, revision string, took time.Duration) {
	if i == nil {
		return
	}
	now := time.Now()
	i.lastReload.Store(&reload{applied: result == Applied, at: now})
	if result != Rejected {
		i.inForce.Store(&inForce{revision: revision, since: now})
	}
	set := i.attributes([5]string{"reload", result}, "result")
	i.reloads.Add(ctx, 1, set.add...)
	i.reloadDuration.Record(ctx, took.Seconds(), set.record...)
}

// InForce says what the configuration in force has: when its trust material
// expires, and the hosts that are to be told from others in metrics.
func (i *Instruments) InForce(expiries []Expiry, hosts []string) {
	if i == nil {
		return
	}
	i.expiries.Store(&expiries)
	i.hosts.know(hosts)
}

// observeConfiguration makes the instruments that tell of it.
func (i *Instruments) observeConfiguration(m *maker) {
	info := m.gauge("connaisseur.config.info", "", "1, with the revision of the configuration in force.")
	age := m.seconds("connaisseur.config.age", "Time since the configuration in force was put in force.")
	succeeded := m.gauge("connaisseur.config.last_reload.success", "", "1 if the configuration that was offered last is in force, 0 if not.")
	at := m.seconds("connaisseur.config.last_reload.timestamp", "When a configuration was offered last, since 1970.")
	expiry := m.seconds("connaisseur.trust.expiry.timestamp", "When the first certificate of each trust root expires, since 1970.")
	m.observe(func(o metric.Observer) {
		if c := i.inForce.Load(); c != nil {
			o.ObserveInt64(info, 1, observed("revision", c.revision))
			o.ObserveFloat64(age, time.Since(c.since).Seconds())
		}
		if r := i.lastReload.Load(); r != nil {
			success := int64(0)
			if r.applied {
				success = 1
			}
			o.ObserveInt64(succeeded, success)
			o.ObserveFloat64(at, unix(r.at))
		}
		if all := i.expiries.Load(); all != nil {
			for _, e := range *all {
				o.ObserveFloat64(expiry, unix(e.At), observed("validator", e.Validator, "trust_root", e.TrustRoot))
			}
		}
	}, info, age, succeeded, at, expiry)
}
