package config

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

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
