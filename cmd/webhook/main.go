// The webhook admits, changes or denies the workloads of a cluster.
package main

import (
	"context"
	"log"
	"runtime"
	"time"

	"github.com/kelseyhightower/envconfig"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection/sharedmain"
	"knative.dev/pkg/signals"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
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
// heap as small as ours is collected less often, which saves CPU time of an
// admission, and a large one (many rules) does not grow in proportion, as it
// would with a higher GOGC. Twice as many save 3 % more, and take 15 MB under load.
const ballastBytes = 12 << 20

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
	w := newWebhook(env, connect(ctx))
	sharedmain.MainWithConfig(ctx, "webhook", w.cluster.config,
		func(ctx context.Context, cmw configmap.Watcher) *controller.Impl {
			w.attach(ctx)
			go func() {
				defer stop()
				defer close(served)
				disarm()
				until, drain := context.WithCancel(ctx)
				defer drain()
				context.AfterFunc(told, drain)
				w.serve(ctx, until)
			}()
			return config.NewController(w.store, w.material, w.instruments, w.findings)(ctx, cmw)
		},
		admission.NewRotationController(env.certificate(), w.cluster.events),
		admission.NewConfigurationsController(env.certificate(), w.store.Snapshot, func(fn func()) {
			w.store.OnChange(func(config.Change) { fn() })
		}),
	)
	stop() // if it was not told to
	<-served
	runtime.KeepAlive(ballast)
}
