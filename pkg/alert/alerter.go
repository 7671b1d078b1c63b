package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/expirable"
	"go.uber.org/zap"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// remembered is of how many alerts it is known that they were sent, where somebody
// waits for that.
const remembered = 8192

// Alerter tells receivers what was decided. Nil tells nobody.
type Alerter struct {
	options  Options
	ledger   *ledger
	admitted *finding.Emitter
	rejected *finding.Emitter
	state    atomic.Pointer[Settings]
	sent     *expirable.LRU[string, struct{}]
	period   time.Duration
}

// Options are those of an Alerter.
type Options struct {
	// Cluster, Namespace and Service are the webhook's. The settings' Cluster comes
	// before this one.
	Cluster, Namespace, Service string
	// ConfigMaps are those of the webhook's namespace, by which replicas tell one
	// another what they send. Nil for a single one.
	ConfigMaps  corev1client.ConfigMapInterface
	Instruments *observability.Instruments
	Logger      *zap.Logger
}

// New makes an Alerter without receivers.
func New(o Options) *Alerter {
	sinks := finding.Options{Cluster: o.Cluster, Namespace: o.Namespace, Service: o.Service, Instruments: o.Instruments, Logger: o.Logger}
	a := &Alerter{options: o, admitted: finding.NewEmitter(sinks), rejected: finding.NewEmitter(sinks), sent: expirable.NewLRU[string, struct{}](remembered, nil, again), period: period}
	if o.ConfigMaps != nil {
		a.ledger = &ledger{o.ConfigMaps, o.Logger, time.Now}
	}
	a.state.Store(&Settings{})
	return a
}

// Apply takes settings into force. Receivers that are the same as before keep what
// waits for them.
func (a *Alerter) Apply(s Settings) {
	if a == nil {
		return
	}
	s.Cluster = cmp.Or(s.Cluster, a.options.Cluster)
	a.state.Store(&s)
	a.admitted.Apply(finding.Settings{Sinks: a.sinks("admit", s.Cluster, slices.DeleteFunc(slices.Clone(s.Admit), func(r Receiver) bool { return r.required }))})
	a.rejected.Apply(finding.Settings{Sinks: a.sinks("reject", s.Cluster, s.Reject)})
}

// sinks are where alerts go for which nobody waits.
func (a *Alerter) sinks(list, cluster string, receivers []Receiver) (specs []finding.Spec) {
	for _, r := range receivers {
		spec := finding.Spec{Name: r.Name, Identity: r.identity + " " + cluster, Open: func(context.Context) (finding.Sink, error) {
			if r.missing != nil {
				return nil, r.missing
			}
			return &sender{receiver: r, list: list, cluster: cluster, ledger: a.ledger, logger: a.options.Logger.With(zap.String("sink", r.Name)), period: a.period}, nil
		}}
		if r.required { // what is detected is waited for; what is denied stays so
			spec.Filter.Outcomes = []string{verify.Denied.String(), verify.Inconclusive.String()}
		}
		specs = append(specs, spec)
	}
	return specs
}

// Active tells whether there are receivers.
func (a *Alerter) Active() bool {
	if a == nil {
		return false
	}
	now := a.state.Load()
	return len(now.Admit)+len(now.Reject) > 0
}

// Send has receivers told of an admission. It waits only for those that are told of
// what is let in and whose failIfAlertSendingFails is set; the error says that one of
// them was not told, and then nobody else is. It returns before ctx ends.
func (a *Alerter) Send(ctx context.Context, admission *finding.Admission) error {
	if a == nil {
		return nil
	}
	now := a.state.Load()
	receivers, emitter := now.Admit, a.admitted
	if !admission.Allowed || admission.Outcome == detected {
		receivers, emitter = now.Reject, a.rejected
	}
	if admission.Allowed {
		if err := a.await(ctx, receivers, now.Cluster, admission); err != nil {
			return err
		}
	}
	emitter.Decided(admission)
	return nil
}

// await tells those receivers that must be told.
func (a *Alerter) await(ctx context.Context, receivers []Receiver, cluster string, admission *finding.Admission) error {
	ctx, cancel := earlier(ctx)
	defer cancel()
	errs := make([]error, len(receivers))
	var all sync.WaitGroup
	for i := range receivers {
		if receivers[i].required {
			all.Go(func() { errs[i] = a.must(ctx, &receivers[i], cluster, admission) })
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// margin is what is left of the time for an admission when alerts have failed.
const margin = 300 * time.Millisecond

// earlier ends a bit before ctx does, so that there is time to answer.
func earlier(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, attempt)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(margin, time.Until(deadline)/4)))
}

// attempts are how often it is tried while somebody waits, with a pause between them
// that doubles.
const (
	attempts = 3
	pause    = 50 * time.Millisecond
)

// must tells a receiver of an admission if it was not told of the very same before.
func (a *Alerter) must(ctx context.Context, r *Receiver, cluster string, admission *finding.Admission) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("receiver %s: panic: %v", r.Name, p)
		}
	}()
	id := admission.ID()
	key := r.identity + " " + id
	if a.sent.Contains(key) {
		return nil
	}
	payload, err := r.Payload(cluster, admission, id)
	if err == nil {
		err = a.insist(ctx, r, payload)
	}
	if err != nil {
		a.count(r, observability.SinkFailed)
		a.options.Logger.Error("An alert could not be sent, and what it is about is denied", zap.String("sink", r.Name), zap.Error(err))
		return fmt.Errorf("receiver %s: %w", r.Name, err)
	}
	a.count(r, observability.SinkDelivered)
	a.sent.Add(key, struct{}{})
	return nil
}

// insist sends a payload, and tries again if that can help.
func (a *Alerter) insist(ctx context.Context, r *Receiver, payload []byte) error {
	for n := 1; ; n++ {
		_, err := r.Post(ctx, payload)
		if err == nil || n == attempts || finding.IsPermanent(err) || r.missing != nil {
			return err
		}
		select {
		case <-time.After(pause << n):
			a.count(r, observability.SinkRetried)
		case <-ctx.Done():
			return err
		}
	}
}

func (a *Alerter) count(r *Receiver, result observability.SinkResult) {
	a.options.Instruments.SinkEvents(context.Background(), r.Name, result, 1)
}

// Close delivers what waits, until ctx ends. Afterwards nothing is sent any more but
// what somebody waits for.
func (a *Alerter) Close(ctx context.Context) {
	if a == nil {
		return
	}
	var all sync.WaitGroup
	all.Go(func() { a.admitted.Close(ctx) })
	all.Go(func() { a.rejected.Close(ctx) })
	all.Wait()
}
