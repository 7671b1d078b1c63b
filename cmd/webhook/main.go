// The webhook admits, changes or denies the workloads of a cluster.
package main

import (
	"context"
	"log"
	"runtime"
	"time"

	"github.com/kelseyhightower/envconfig"
	"go.opentelemetry.io/otel"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	"knative.dev/pkg/injection/sharedmain"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/signals"
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

// environment is what a deployment sets. Everything else is in ConfigMaps.
type environment struct {
	Port        int           `envconfig:"WEBHOOK_PORT" default:"8443"`
	HealthPort  int           `envconfig:"HEALTH_PORT" default:"8080"`
	SecretName  string        `envconfig:"WEBHOOK_SECRET_NAME" default:"connaisseur-webhook-certificate"`
	ServiceName string        `envconfig:"WEBHOOK_SERVICE_NAME" default:"connaisseur-webhook"`
	ExtraHosts  []string      `envconfig:"WEBHOOK_EXTRA_HOSTS"`
	GracePeriod time.Duration `envconfig:"WEBHOOK_GRACE_PERIOD" default:"10s"`
	// QueueProxy is the URL of Knative's queue-proxy where this is a Knative Service.
	QueueProxy string `envconfig:"QUEUE_PROXY_URL"`
	// MeterPort is where it asks, as Knative sets it.
	MeterPort int `envconfig:"PORT" default:"8081"`
	// DrainFindings is for findings that wait when the last request is answered.
	DrainFindings time.Duration `envconfig:"FINDINGS_GRACE_PERIOD" default:"5s"`
}

func (e environment) certificate() admission.CertificateOptions {
	return admission.CertificateOptions{SecretName: e.SecretName, ServiceName: e.ServiceName, ExtraHosts: e.ExtraHosts}
}

// ballastBytes are never touched and so take no memory, but count as heap: a
// heap as small as ours is collected less often, which saves a tenth of the CPU
// time of an admission, and a large one (many rules) does not grow in
// proportion, as it would with a higher GOGC.
const ballastBytes = 24 << 20

func main() {
	ballast := make([]byte, ballastBytes)
	var env environment
	if err := envconfig.Process("", &env); err != nil {
		log.Fatal("The environment is not valid: ", err)
	}
	served := make(chan struct{}) // closed when requests in flight have been answered
	told := signals.NewContext()  // ends when the process is told to
	// Until the last request is answered the configuration is followed, and metrics
	// and traces are taken.
	ctx, stop := context.WithCancel(sharedmain.WithHealthProbesDisabled(context.WithoutCancel(told)))
	disarm := context.AfterFunc(told, stop) // as long as nothing is served, it ends at once
	cluster := injection.ParseAndGetRESTConfigOrDie()
	cluster.QPS, cluster.Burst = 50, 100 // a burst of edits must not delay the next one's effect
	// For other namespaces, beside the webhook's other clients: tenants' many pull
	// secrets must not delay those.
	others, err := kubernetes.NewForConfig(rest.CopyConfig(cluster))
	if err != nil {
		log.Fatal("The cluster cannot be reached: ", err)
	}
	// Owners are listed page by page, which can be many.
	listing, err := kubernetes.NewForConfig(rest.CopyConfig(cluster))
	if err != nil {
		log.Fatal("The cluster cannot be reached: ", err)
	}
	owners, err := owner.New(listing)
	if err != nil {
		log.Fatal("The cluster cannot be watched: ", err)
	}
	bound, err := sink.Bound()
	if err != nil {
		log.Fatal("The sink of the environment is not valid: ", err)
	}
	events, err := admission.NewRecorder(ctx, cluster)
	if err != nil {
		log.Fatal("The cluster cannot be reached: ", err)
	}
	// Measured is what is set up further below, from config-observability.
	instruments, err := observability.New(otel.GetMeterProvider())
	if err != nil {
		log.Fatal("The metrics cannot be set up: ", err)
	}
	results := cache.New(cache.Options{})
	instruments.WatchCache(results.Use)
	replicas := &shared.Cache{}
	instruments.WatchSharedCache(replicas.Use)
	results.Share(replicas)
	store := config.NewStore(config.NewBuilder(results).WithInstruments(instruments).WithPullSecrets(config.NewPullSecrets(others)))
	sharedmain.MainWithConfig(ctx, "webhook", cluster,
		func(ctx context.Context, cmw configmap.Watcher) *controller.Impl {
			id := config.ClusterID(ctx, others)
			findings := finding.NewEmitter(finding.Options{
				Cluster: id, Namespace: system.Namespace(), Service: env.ServiceName, Bound: bound,
				Instruments: instruments, Logger: logging.FromContext(ctx).Desugar().Named("findings"),
			})
			alerts := alert.New(alert.Options{
				Cluster: id, Namespace: system.Namespace(), Service: env.ServiceName, Instruments: instruments,
				ConfigMaps: others.CoreV1().ConfigMaps(system.Namespace()), Logger: logging.FromContext(ctx).Desugar().Named("alerts"),
			})
			material := remote.New(remote.Options{Secrets: config.ReadSecret(others), Logger: logging.FromContext(ctx).Desugar().Named("trust"), Instruments: instruments})
			store.OnChange(func(c config.Change) {
				alerts.Apply(c.Alerts)
				replicas.Apply(c.SharedCache, id, logging.FromContext(ctx).Desugar().Named("cache"))
				if c.Snapshot != nil && c.Snapshot.Features.ChildApproval() != feature.NoChildren {
					owners.Start(ctx)
				}
			})
			go func() {
				defer stop()
				defer close(served)
				disarm()
				until, drain := context.WithCancel(ctx)
				defer drain()
				context.AfterFunc(told, drain)
				webhook{env, store, owners, material, admission.NewWorkloadEvents(events), findings, alerts, instruments}.serve(ctx, until)
			}()
			return config.NewController(store, material, instruments, findings)(ctx, cmw)
		},
		admission.NewRotationController(env.certificate()),
		admission.NewConfigurationsController(env.certificate(), store.Snapshot, func(fn func()) {
			store.OnChange(func(config.Change) { fn() })
		}),
	)
	stop() // if it was not told to
	<-served
	runtime.KeepAlive(ballast)
}
