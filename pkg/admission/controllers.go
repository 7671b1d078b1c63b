package admission

import (
	"context"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	mutatinginformer "knative.dev/pkg/client/injection/kube/informers/admissionregistration/v1/mutatingwebhookconfiguration"
	validatinginformer "knative.dev/pkg/client/injection/kube/informers/admissionregistration/v1/validatingwebhookconfiguration"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection"
	secretinformer "knative.dev/pkg/injection/clients/namespacedkube/informers/core/v1/secret"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"
	"knative.dev/pkg/system"
)

// CertificateOptions say where the certificate is and what it is for.
type CertificateOptions struct {
	// SecretName is the Secret of our namespace that holds it.
	SecretName string
	// ServiceName is the Service by which API servers reach the webhook.
	ServiceName string
	// ExtraHosts are further names and addresses, for a webhook that is
	// reached by URL.
	ExtraHosts []string
}

// hosts are the names that the certificate must be good for.
func (o CertificateOptions) hosts() []string {
	service := o.ServiceName + "." + system.Namespace()
	return append([]string{service + ".svc", service, o.ServiceName}, o.ExtraHosts...)
}

// NewConfigurationsController makes the controller that owns the webhook
// configurations. onChange has it told when the settings for them change.
func NewConfigurationsController(o CertificateOptions, snapshots Snapshots, onChange func(func())) injection.ControllerConstructor {
	return func(ctx context.Context, _ configmap.Watcher) *controller.Impl {
		key := types.NamespacedName{Namespace: system.Namespace(), Name: "webhook-configurations"}
		mutating, validating, secrets := mutatinginformer.Get(ctx), validatinginformer.Get(ctx), secretinformer.Get(ctx)
		c := &configurations{
			LeaderAwareFuncs: promoteTo(key),
			client:           kubeclient.Get(ctx),
			mutating:         mutating.Lister(),
			validating:       validating.Lister(),
			secrets:          secrets.Lister().Secrets(system.Namespace()),
			secretName:       o.SecretName,
			snapshots:        snapshots,
			key:              key,
		}
		impl := controller.NewContext(ctx, c, controller.ControllerOptions{WorkQueueName: "WebhookConfigurations", Logger: logging.FromContext(ctx).Named("configurations")})
		enqueue := func(any) { impl.EnqueueKey(key) }
		watch(mutating.Informer(), controller.FilterWithName(WorkloadsName), enqueue)
		watch(validating.Informer(), controller.FilterWithName(WorkloadsName), enqueue)
		watch(validating.Informer(), controller.FilterWithName(ConfigName), enqueue)
		watch(secrets.Informer(), controller.FilterWithName(o.SecretName), enqueue)
		onChange(func() { impl.EnqueueKey(key) })
		return impl
	}
}

// NewRotationController makes the controller that keeps the certificate valid. Events say
// what it cannot do.
func NewRotationController(o CertificateOptions, events record.EventRecorder) injection.ControllerConstructor {
	return func(ctx context.Context, _ configmap.Watcher) *controller.Impl {
		key := types.NamespacedName{Namespace: system.Namespace(), Name: o.SecretName}
		mutating, validating, secrets := mutatinginformer.Get(ctx).Lister(), validatinginformer.Get(ctx).Lister(), secretinformer.Get(ctx)
		r := &rotation{
			LeaderAwareFuncs: promoteTo(key),
			client:           kubeclient.Get(ctx),
			secrets:          secrets.Lister().Secrets(system.Namespace()),
			key:              key,
			hosts:            o.hosts(),
			now:              time.Now,
			events:           events,
			published: func(authority []byte) bool {
				m, err := mutating.Get(WorkloadsName)
				if err != nil || !everyMutating(m, authority) {
					return false
				}
				for _, name := range []string{WorkloadsName, ConfigName} {
					if v, err := validating.Get(name); err != nil || !everyValidating(v, authority) {
						return false
					}
				}
				return true
			},
		}
		impl := controller.NewContext(ctx, r, controller.ControllerOptions{WorkQueueName: "WebhookCertificate", Logger: logging.FromContext(ctx).Named("certificate")})
		r.again = func(after time.Duration) { impl.EnqueueKeyAfter(key, after) }
		watch(secrets.Informer(), controller.FilterWithName(o.SecretName), func(any) { impl.EnqueueKey(key) })
		return impl
	}
}

func everyMutating(m *admissionregistrationv1.MutatingWebhookConfiguration, authority []byte) bool {
	for i := range m.Webhooks {
		if !holds(m.Webhooks[i].ClientConfig.CABundle, authority) {
			return false
		}
	}
	return true
}

func everyValidating(v *admissionregistrationv1.ValidatingWebhookConfiguration, authority []byte) bool {
	for i := range v.Webhooks {
		if !holds(v.Webhooks[i].ClientConfig.CABundle, authority) {
			return false
		}
	}
	return true
}

// promoteTo enqueues the one key there is when this replica becomes leader.
func promoteTo(key types.NamespacedName) reconciler.LeaderAwareFuncs {
	return reconciler.LeaderAwareFuncs{
		PromoteFunc: func(bucket reconciler.Bucket, enqueue func(reconciler.Bucket, types.NamespacedName)) error {
			enqueue(bucket, key)
			return nil
		},
	}
}

func watch(informer cache.SharedIndexInformer, filter func(any) bool, fn func(any)) {
	_, _ = informer.AddEventHandler(cache.FilteringResourceEventHandler{ // fails for a stopped informer only
		FilterFunc: filter,
		Handler:    controller.HandleAll(fn),
	})
}

// SecretOf reads a Secret of our namespace as the informer sees it.
func SecretOf(ctx context.Context, name string) func() (*corev1.Secret, error) {
	secrets := secretinformer.Get(ctx).Lister().Secrets(system.Namespace())
	return func() (*corev1.Secret, error) {
		secret, err := secrets.Get(name)
		if apierrors.IsNotFound(err) {
			err = missing(name)
		}
		return secret, err
	}
}
