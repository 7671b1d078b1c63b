package main

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.uber.org/zap"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/system"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/trust/remote"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// webhook is what answers requests, and what it needs for that.
type webhook struct {
	env         environment
	cluster     clients
	store       *config.Store
	replicas    *shared.Cache // where verification results are shared with the others
	events      *admission.WorkloadEvents
	bound       *finding.Spec // a sink of the environment's; nil for none
	material    *remote.Refresher
	findings    *finding.Emitter
	alerts      *alert.Alerter
	instruments *observability.Instruments
}

// serve answers admission requests until it is not to go on, and then sends the
// findings that wait. Probes are answered until ctx ends.
func (w *webhook) serve(ctx, until context.Context) {
	defer w.material.Close()
	logger := logging.FromContext(ctx)
	engine := verify.Engine{Now: time.Now, Owners: w.cluster.owners}
	certificate := admission.CertificateSource(admission.SecretOf(ctx, w.env.SecretName))
	w.instruments.WatchCertificate(func() (time.Time, bool) {
		c, err := certificate()
		if err != nil {
			return time.Time{}, false
		}
		return c.Leaf.NotAfter, true
	})
	var meter *admission.Meter
	if w.env.QueueProxy != "" {
		meter = admission.NewMeter(w.env.QueueProxy)
	}
	server, err := admission.NewServer(ctx, admission.ServerOptions{Port: w.env.Port, GracePeriod: w.env.GracePeriod, Certificate: certificate, Tracer: otel.GetTracerProvider(), Meter: meter},
		w.handler(admission.NewMutating(engine, w.store.Snapshot, w.instruments, logger.Desugar())),
		w.handler(admission.NewValidating(engine, w.store.Snapshot, w.instruments, logger.Desugar()).WithEvents(config.NewRecorder(ctx), system.Namespace())),
		admission.NewConfig(config.NewReviewer(ctx, w.material), logger.Desugar()),
	)
	if err != nil {
		logger.Fatalw("The webhook cannot be set up", zap.Error(err))
	}
	if meter != nil {
		go func() {
			if err := meter.Serve(until, w.env.MeterPort); err != nil {
				logger.Fatalw("Admissions cannot be counted", zap.Error(err))
			}
		}()
	}
	probes := injection.AddReadiness(ctx, admission.Readiness(until, certificate, w.store.Snapshot, w.store.Problem))
	probes = injection.AddLiveness(probes, admission.Liveness)
	go func() {
		if err := injection.ServeHealthProbes(probes, w.env.HealthPort); err != nil {
			logger.Fatalw("Probes cannot be answered", zap.Error(err))
		}
	}()
	if err := server.Run(until); err != nil {
		logger.Fatalw("The webhook failed", zap.Error(err))
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), w.env.DrainFindings)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { w.alerts.Close(drain) })
	all.Go(func() { w.findings.Close(drain) })
	all.Wait()
}

// handler is one that answers in the cluster: patiently, and leaving traces.
func (w *webhook) handler(h *admission.Handler) *admission.Handler {
	return h.Patient().WithWorkloadEvents(w.events).WithFindings(w.findings, w.alerts)
}
