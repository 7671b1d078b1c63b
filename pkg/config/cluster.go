package config

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// ReadSecret reads a Secret of any namespace that may be read, once.
func ReadSecret(client kubernetes.Interface) func(ctx context.Context, namespace, name string) (map[string][]byte, error) {
	return func(ctx context.Context, namespace, name string) (map[string][]byte, error) {
		secret, err := client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsForbidden(err):
			return nil, errors.New("the webhook may not read it: that takes a Role in that namespace (config/trust-material.md)")
		case err != nil:
			return nil, err
		}
		return secret.Data, nil
	}
}

// ReadCluster reads the ConfigMaps and Secrets of a namespace once. Secrets
// that may not be read are as good as not there.
func ReadCluster(ctx context.Context, client kubernetes.Interface, namespace string) (Objects, error) {
	o := Objects{Namespace: namespace, ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: map[string]*corev1.Secret{}}
	configMaps, err := client.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return Objects{}, fmt.Errorf("cannot read the ConfigMaps of namespace %q: %w", namespace, err)
	}
	for i := range configMaps.Items {
		o.ConfigMaps[configMaps.Items[i].Name] = &configMaps.Items[i]
	}
	secrets, err := client.CoreV1().Secrets(namespace).List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		return Objects{}, fmt.Errorf("cannot read the Secrets of namespace %q: %w", namespace, err)
	}
	if err == nil {
		for i := range secrets.Items {
			o.Secrets[secrets.Items[i].Name] = &secrets.Items[i]
		}
	}
	return o, nil
}

// ClusterID identifies the cluster: it is the UID of the namespace kube-system, by
// the convention that OpenTelemetry's k8s.cluster.uid follows too. It is "unknown" if
// it cannot be read soon: the webhook starts without.
func ClusterID(ctx context.Context, client kubernetes.Interface) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	namespace, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil || namespace.UID == "" {
		return "unknown"
	}
	return string(namespace.UID)
}
