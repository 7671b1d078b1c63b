// Package clustertest is for tests that ask a real API server.
package clustertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config is for clients of KUBECONFIG's cluster, which ask as fast as they can and
// print no warnings.
func Config() (*rest.Config, error) {
	c, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("KUBECONFIG must lead to a cluster: %w", err)
	}
	c.QPS = -1 // the server defends itself
	c.WarningHandlerWithContext = rest.NoWarnings{}
	return c, nil
}

// Connect makes a client for KUBECONFIG's cluster.
func Connect(settings ...func(*rest.Config)) (kubernetes.Interface, error) {
	c, err := Config()
	if err != nil {
		return nil, err
	}
	for _, set := range settings {
		set(c)
	}
	return kubernetes.NewForConfig(c)
}

// NewNamespace makes a namespace for one test, in which Pods can be created at once.
func NewNamespace(t *testing.T, cluster kubernetes.Interface, labels map[string]string) string {
	t.Helper()
	ns, err := cluster.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-", Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	EnsureAccount(t, cluster, ns.Name)
	return ns.Name
}

// EnsureAccount is faster than the controller that makes a namespace's ServiceAccount,
// without which no Pod is admitted.
func EnsureAccount(t *testing.T, cluster kubernetes.Interface, namespace string) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := cluster.CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// Poll calls check until it has nothing to complain about, and otherwise gives its last
// complaint of its own, which is not that the time was up.
func Poll(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	complaint := errors.New("no answer")
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			complaint = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %w", limit, complaint)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Within fails the test if check still complains after the limit.
func Within(t *testing.T, limit time.Duration, check func(context.Context) error) {
	t.Helper()
	if err := Poll(t.Context(), limit, check); err != nil {
		t.Fatal(err)
	}
}

// Denied complains unless err is a denial by Connaisseur that says all of this.
func Denied(err error, texts ...string) error {
	switch {
	case err == nil:
		return errors.New("it was admitted")
	case !apierrors.IsForbidden(err), !strings.Contains(err.Error(), `connaisseur.sse-secure-systems.github.io" denied the request: `):
		return fmt.Errorf("this is no denial by the webhook: %w", err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			return fmt.Errorf("%q is not in the denial: %w", text, err)
		}
	}
	return nil
}
