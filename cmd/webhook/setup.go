package main

import (
	"context"
	"log"

	"go.opentelemetry.io/otel"
	"go.uber.org/zap"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/system"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/owner"
	"github.com/sse-secure-systems/connaisseur/pkg/trust/remote"
)

// clients are how the cluster is reached. Each has a rate limit of its own.
type clients struct {
	config *rest.Config // what knative.dev/pkg makes the webhook's other clients of
	// others is for other namespaces: tenants' many pull secrets must not delay what
	// the webhook follows.
	others kubernetes.Interface
	owners *owner.Watcher // lists owners page by page, which can be many
	events record.EventRecorder
}

// connect makes them, or ends the process.
func connect(ctx context.Context) clients {
	c := clients{config: injection.ParseAndGetRESTConfigOrDie()}
	c.config.QPS, c.config.Burst = 50, 100 // a burst of edits must not delay the next one's effect
	others, err := kubernetes.NewForConfig(rest.CopyConfig(c.config))
	if err != nil {
		log.Fatal("The cluster cannot be reached: ", err)
	}
	listing, err := kubernetes.NewForConfig(rest.CopyConfig(c.config))
	if err != nil {
		log.Fatal("The cluster cannot be reached: ", err)
	}
	owners, err := owner.New(listing)
	if err != nil {
		log.Fatal("The cluster cannot be watched: ", err)
	}
	events, err := admission.NewRecorder(ctx, c.config)
	if err != nil {
		log.Fatal("The cluster cannot be reached: ", err)
	}
	c.others, c.owners, c.events = others, owners, events
	return c
}

// newWebhook makes what needs neither the cluster nor the logger, or ends the process.
func newWebhook(env environment, c clients) *webhook {
	bound, err := sink.Bound()
	if err != nil {
		log.Fatal("The sink of the environment is not valid: ", err)
	}
	// Measured is what knative.dev/pkg sets up later, from config-observability.
	instruments, err := observability.New(otel.GetMeterProvider())
	if err != nil {
		log.Fatal("The metrics cannot be set up: ", err)
	}
	results := cache.New(cache.Options{})
	instruments.WatchCache(results.Use)
	replicas := &shared.Cache{}
	instruments.WatchSharedCache(replicas.Use)
	results.Share(replicas)
	store := config.NewStore(config.NewBuilder(results).WithInstruments(instruments).WithPullSecrets(config.NewPullSecrets(c.others)))
	return &webhook{env: env, cluster: c, store: store, replicas: replicas, events: admission.NewWorkloadEvents(c.events), bound: bound, instruments: instruments}
}

// attach makes the rest, and has everything follow the configuration.
func (w *webhook) attach(ctx context.Context) {
	id := config.ClusterID(ctx, w.cluster.others)
	logger := func(name string) *zap.Logger { return logging.FromContext(ctx).Desugar().Named(name) }
	w.findings = finding.NewEmitter(finding.Options{
		Cluster: id, Namespace: system.Namespace(), Service: w.env.ServiceName, Bound: w.bound,
		Instruments: w.instruments, Logger: logger("findings"),
	})
	w.alerts = alert.New(alert.Options{
		Cluster: id, Namespace: system.Namespace(), Service: w.env.ServiceName, Instruments: w.instruments,
		ConfigMaps: w.cluster.others.CoreV1().ConfigMaps(system.Namespace()), Logger: logger("alerts"),
	})
	w.material = remote.New(remote.Options{Secrets: config.ReadSecret(w.cluster.others), Logger: logger("trust"), Instruments: w.instruments})
	w.store.OnChange(func(change config.Change) {
		w.alerts.Apply(change.Alerts)
		w.replicas.Apply(change.SharedCache, id, logger("cache"))
		if change.Snapshot != nil && change.Snapshot.Features.ChildApproval() != feature.NoChildren {
			w.cluster.owners.Start(ctx)
		}
	})
}
