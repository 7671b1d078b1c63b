package admission

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"
	certresources "knative.dev/pkg/webhook/certificates/resources"
)

const (
	// publishedAnnotation notes since when the webhook configurations hold
	// the authority of the pair that is next.
	publishedAnnotation = "connaisseur.sse-secure-systems.github.io/published"
	// renewAnnotation is set by whoever wants a new certificate before it is due,
	// to any value; it goes once there is one.
	renewAnnotation = "connaisseur.sse-secure-systems.github.io/renew"
	// servedAnnotation notes since when the pair is served that is.
	servedAnnotation = "connaisseur.sse-secure-systems.github.io/served"
	// settle is how long API servers get to see a changed configuration.
	settle = 30 * time.Second
	// retireAfter is how long replicas get to serve a new pair, before authorities
	// go that are none of its.
	retireAfter = 2 * time.Minute
	// maxSpare bounds these.
	maxSpare = 3
)

// rotation keeps the serving certificate valid. A new one is served only
// after its authority has been published beside the old one's, so that no call
// fails on the way.
type rotation struct {
	reconciler.LeaderAwareFuncs

	client    kubernetes.Interface
	secrets   corelisters.SecretNamespaceLister
	key       types.NamespacedName
	hosts     []string
	published func(authority []byte) bool
	again     func(after time.Duration)
	now       func() time.Time
	// events are for those who look at the namespace.
	events record.EventRecorder
}

var (
	_ controller.Reconciler  = (*rotation)(nil)
	_ reconciler.LeaderAware = (*rotation)(nil)
)

// Reconcile does the next step, if one is due.
func (r *rotation) Reconcile(ctx context.Context, key string) error {
	if !r.IsLeaderFor(r.key) {
		return controller.NewSkipKey(key)
	}
	secret, err := r.secrets.Get(r.key.Name)
	if apierrors.IsNotFound(err) {
		r.complain(ctx, nil, eventMissing, missing(r.key.Name).Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read Secret %s: %w", r.key, err)
	}
	if external(secret) {
		r.check(ctx, secret)
		return nil
	}
	changed, err := r.step(secret.DeepCopy())
	if err != nil || changed == nil {
		return err
	}
	_, err = r.client.CoreV1().Secrets(r.key.Namespace).Update(ctx, changed, metav1.UpdateOptions{})
	if err != nil {
		return fmt.Errorf("cannot update Secret %s: %w", r.key, err)
	}
	return nil
}

// check tells why API servers cannot use somebody else's certificate.
func (r *rotation) check(ctx context.Context, secret *corev1.Secret) {
	certificate, key := pair(secret)
	_, err := leafOf(certificate, key, authorities(secret), r.hosts[:1], r.now())
	if err != nil {
		r.complain(ctx, secret, eventUnusable, fmt.Sprintf("API servers cannot use the certificate in Secret %s, of which tls.crt, tls.key and ca.crt must go together: %v", r.key.Name, err))
	}
}

// Reasons of Events about the Secret.
const (
	eventMissing  = "CertificateMissing"
	eventUnusable = "CertificateUnusable"
)

// complain says what somebody has to do about the Secret, which may not be there.
func (r *rotation) complain(ctx context.Context, secret *corev1.Secret, reason, message string) {
	logging.FromContext(ctx).Error(message)
	about := &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: r.key.Namespace, Name: r.key.Name}
	if secret != nil {
		about.UID, about.ResourceVersion = secret.UID, secret.ResourceVersion
	}
	r.events.Event(about, corev1.EventTypeWarning, reason, short(message))
}

// step changes the Secret, or returns nil if there is nothing to do.
func (r *rotation) step(secret *corev1.Secret) (*corev1.Secret, error) {
	now := r.now()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	certificate, key := pair(secret)
	authority := authorities(secret)
	leaf, err := leafOf(certificate, key, authority, r.hosts, now)
	if err != nil {
		return r.issueNow(secret, now)
	}
	_, err = leafOf(secret.Data[nextPrefix+certresources.ServerCert], secret.Data[nextPrefix+certresources.ServerKey], authority, r.hosts, now)
	switch {
	case err == nil:
		return r.promote(secret, now)
	case !now.Add(renewBefore).Before(leaf.NotAfter) || asked(secret):
		return r.prepare(secret, leaf, now)
	}
	return r.retire(secret, leaf, now), nil
}

// prepare makes the pair that is to be served next.
func (r *rotation) prepare(secret *corev1.Secret, leaf *x509.Certificate, now time.Time) (*corev1.Secret, error) {
	next, err := issue(r.hosts, now)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	needed, spare := split(secret.Data[certresources.CACert], leaf, now)
	secret.Data[nextPrefix+certresources.ServerCert] = next.certificate
	secret.Data[nextPrefix+certresources.ServerKey] = next.key
	secret.Data[certresources.CACert] = bytes.Join(append(newest(spare), append(needed, next.authority)...), nil)
	delete(secret.Annotations, publishedAnnotation)
	delete(secret.Annotations, renewAnnotation)
	return secret, nil
}

// retire drops the authorities by which nothing is served any more: whoever has got
// hold of an earlier key must not answer in the webhook's place. It returns nil if
// there is nothing to do yet.
func (r *rotation) retire(secret *corev1.Secret, leaf *x509.Certificate, now time.Time) *corev1.Secret {
	needed, spare := split(secret.Data[certresources.CACert], leaf, now)
	if len(spare) == 0 {
		r.again(leaf.NotAfter.Add(-renewBefore).Sub(now))
		return nil
	}
	since := noted(secret, servedAnnotation)
	if since.IsZero() || since.After(now.Add(settle)) {
		metav1.SetMetaDataAnnotation(&secret.ObjectMeta, servedAnnotation, now.UTC().Format(time.RFC3339))
		return secret
	}
	if wait := since.Add(retireAfter).Sub(now); wait > 0 {
		r.again(wait)
		return nil
	}
	secret.Data[certresources.CACert] = bytes.Join(needed, nil)
	delete(secret.Annotations, servedAnnotation)
	return secret
}

// asked tells whether somebody wants a new certificate now.
func asked(secret *corev1.Secret) bool {
	_, ok := secret.Annotations[renewAnnotation]
	return ok
}

// issueNow makes the pair that is served, where there is none that could be.
func (r *rotation) issueNow(secret *corev1.Secret, now time.Time) (*corev1.Secret, error) {
	first, err := issue(r.hosts, now)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	secret.Data = map[string][]byte{ // what was to be next is dropped
		certresources.ServerCert: first.certificate,
		certresources.ServerKey:  first.key,
		certresources.CACert:     bytes.Join(append(newest(unexpired(secret.Data[certresources.CACert], now)), first.authority), nil),
	}
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, servedAnnotation, now.UTC().Format(time.RFC3339))
	delete(secret.Annotations, publishedAnnotation)
	delete(secret.Annotations, renewAnnotation)
	return secret, nil
}

// promote lets the next pair be served once its authority has been published
// long enough.
func (r *rotation) promote(secret *corev1.Secret, now time.Time) (*corev1.Secret, error) {
	if !r.published(secret.Data[certresources.CACert]) {
		r.again(time.Second)
		return nil, nil
	}
	since := noted(secret, publishedAnnotation)
	if since.IsZero() || since.After(now.Add(settle)) {
		metav1.SetMetaDataAnnotation(&secret.ObjectMeta, publishedAnnotation, now.UTC().Format(time.RFC3339))
		return secret, nil
	}
	if wait := since.Add(settle).Sub(now); wait > 0 {
		r.again(wait)
		return nil, nil
	}
	for _, name := range []string{certresources.ServerCert, certresources.ServerKey} {
		secret.Data[name] = secret.Data[nextPrefix+name]
		delete(secret.Data, nextPrefix+name)
	}
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, servedAnnotation, now.UTC().Format(time.RFC3339))
	delete(secret.Annotations, publishedAnnotation)
	return secret, nil
}

// noted is the time that an annotation has; zero if there is none that can be read.
func noted(secret *corev1.Secret, annotation string) time.Time {
	since, _ := time.Parse(time.RFC3339, secret.Annotations[annotation]) // zero if it fails
	return since
}

// holds tells whether a published bundle has everything of another.
func holds(published, bundle []byte) bool { return bytes.Contains(published, bytes.TrimSpace(bundle)) }
