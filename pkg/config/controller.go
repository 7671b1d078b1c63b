package config

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	configmapinformer "knative.dev/pkg/injection/clients/namespacedkube/informers/core/v1/configmap"
	secretinformer "knative.dev/pkg/injection/clients/namespacedkube/informers/core/v1/secret"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/system"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// everything is the one key that there is: a configuration is built whole.
var everything = types.NamespacedName{Name: "configuration"}

// watcher offers what ConfigMaps and Secrets hold to a Store whenever one of
// them changes. It runs in every replica.
type watcher struct {
	// knative wants every reconciler to know who leads; this one does not
	// care, since every replica has a configuration.
	reconciler.LeaderAwareFuncs

	store       *Store
	material    Material // nil asks nobody outside of the cluster
	client      kubernetes.Interface
	namespace   string
	configMaps  corelisters.ConfigMapNamespaceLister
	secrets     corelisters.SecretNamespaceLister
	instruments *observability.Instruments
	events      record.EventRecorder
	findings    *finding.Emitter
	ends        ends
	expiries    expiries
	logger      *zap.SugaredLogger
	restored    bool                   // what was kept has been looked at
	recalled    string                 // the version of the ConfigMap that was recalled last
	good        atomic.Pointer[Change] // the newest good configuration, until it is kept
}

var _ controller.Reconciler = (*watcher)(nil)

// NewController makes the controller that keeps the store up to date. material
// gives what is outside of the cluster; findings is told what becomes of each
// configuration, and where findings go.
func NewController(store *Store, material Material, instruments *observability.Instruments, findings *finding.Emitter) injection.ControllerConstructor {
	return func(ctx context.Context, _ configmap.Watcher) *controller.Impl {
		logger := logging.FromContext(ctx).Named("config")
		configMaps, secrets := configmapinformer.Get(ctx), secretinformer.Get(ctx)
		w := &watcher{
			store:       store,
			material:    material,
			client:      kubeclient.Get(ctx),
			namespace:   system.Namespace(),
			configMaps:  configMaps.Lister().ConfigMaps(system.Namespace()),
			secrets:     secrets.Lister().Secrets(system.Namespace()),
			instruments: instruments,
			events:      NewRecorder(ctx),
			findings:    findings,
			logger:      logger,
		}
		store.OnChange(func(c Change) { w.report(ctx, c) })
		go w.expiries.run(ctx, findings)
		impl := controller.NewContext(ctx, w, controller.ControllerOptions{WorkQueueName: "Configuration", Logger: logger, Concurrency: 1})
		offer := controller.HandleAll(func(any) { impl.EnqueueKey(everything) })
		_, _ = configMaps.Informer().AddEventHandler(offer) // fails for a stopped informer only
		_, _ = secrets.Informer().AddEventHandler(offer)
		material.OnChange(func() { impl.EnqueueKey(everything) })
		store.builder.notaries.Versions.OnChange(func() { impl.EnqueueKeyAfter(versions, versionsDelay) })
		impl.EnqueueKey(everything) // where there is nothing there is no event
		return impl
	}
}

// NewReviewer makes the function that reviews edits of our ConfigMaps, beside
// the objects that the informers see and what is outside of the cluster.
func NewReviewer(ctx context.Context, elsewhere Elsewhere) func(*corev1.ConfigMap) ([]string, error) {
	namespace := system.Namespace()
	configMaps := configmapinformer.Get(ctx).Lister().ConfigMaps(namespace)
	secrets := secretinformer.Get(ctx).Lister().Secrets(namespace)
	// A builder of its own: what is only proposed must not close connections.
	builder := NewBuilder(cache.New(cache.Options{}))
	return func(edited *corev1.ConfigMap) ([]string, error) {
		o, err := list(namespace, configMaps, secrets)
		if err != nil {
			return nil, err
		}
		o.Elsewhere = elsewhere
		rejections, warnings := Review(builder, o, edited)
		texts := make([]string, len(warnings))
		for i, w := range warnings {
			texts[i] = w.Error()
		}
		return texts, rejections.Err()
	}
}

func list(namespace string, configMaps corelisters.ConfigMapNamespaceLister, secrets corelisters.SecretNamespaceLister) (Objects, error) {
	o := Objects{Namespace: namespace, ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: map[string]*corev1.Secret{}}
	maps, err := configMaps.List(labels.Everything())
	if err != nil {
		return o, fmt.Errorf("cannot list ConfigMaps: %w", err)
	}
	for _, cm := range maps {
		o.ConfigMaps[cm.Name] = cm
	}
	all, err := secrets.List(labels.Everything())
	if err != nil {
		return o, fmt.Errorf("cannot list Secrets: %w", err)
	}
	for _, secret := range all {
		o.Secrets[secret.Name] = secret
	}
	return o, nil
}

// Reconcile offers what there is now. The informers have synced before.
func (w *watcher) Reconcile(ctx context.Context, key string) error {
	if key == versions.Name {
		return w.keepVersions(ctx)
	}
	o, err := list(w.namespace, w.configMaps, w.secrets)
	if err != nil {
		return err
	}
	if w.material != nil {
		o.Elsewhere = w.material
	}
	w.recall(o)
	w.offer(o)
	if w.material != nil {
		w.material.Retain(w.store.Remotes())
	}
	return w.keep(ctx)
}

func (w *watcher) offer(o Objects) {
	if w.restored {
		w.store.Offer(o)
		w.store.Renew()
		return
	}
	w.restored = true
	w.restoreMaterial(o)
	before, found := w.kept(o)
	if found {
		w.store.Expect(before)
	}
	w.store.Offer(o)
	if found {
		w.store.Restore(before)
	}
}

// report leaves the traces of a change: findings, a line in the log, a metric, an
// event on the ConfigMap, and the configuration itself if it is good.
func (w *watcher) report(ctx context.Context, c Change) {
	w.findings.Apply(c.Findings)
	c.tell(w.findings)
	result, revision := observability.Applied, ""
	switch {
	case len(c.Errors) > 0:
		result = observability.Rejected
	case c.Restored:
		result = observability.Restored
	}
	if c.Snapshot != nil {
		revision = c.Snapshot.Revision
	}
	w.instruments.Reload(ctx, result, revision, c.Duration)
	if c.Snapshot != nil && len(c.Errors) == 0 {
		w.instruments.InForce(c.Expiries, c.Hosts)
		w.expiries.inForce.Store(&c.Expiries)
		w.ends.watch(c.Snapshot, time.Now(), w.ended)
	}
	if len(c.Insecure) > 0 {
		w.logger.Warnw("The configuration has insecure settings", "revision", c.Snapshot.Revision, "settings", c.Insecure.Error())
		w.event("InsecureConfiguration", c.Insecure, "in force with revision "+c.Snapshot.Revision)
	}
	switch {
	case len(c.Errors) > 0:
		force := "nothing is in force and every workload is denied"
		if c.Snapshot != nil {
			force = "the configuration before stays in force, revision " + c.Snapshot.Revision
		}
		w.logger.Errorw("The configuration is refused; "+force, "errors", c.Errors.Error())
		w.event("ConfigurationRejected", c.Errors, force)
	case c.Restored:
		w.logger.Warnw("The last good configuration of before the restart is in force", "revision", c.Snapshot.Revision)
	default:
		w.logger.Infow("The configuration is in force", "revision", c.Snapshot.Revision, "rules", len(c.Snapshot.Rules), "took", c.Duration)
		w.good.Store(&c)
	}
}
