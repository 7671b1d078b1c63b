//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ownNamespace is the webhook's.
const ownNamespace = "connaisseur"

// promised is how long a change of the configuration may take to be in effect.
const promised = time.Second

// patience is for what Kubernetes' own controllers and API server do.
const patience = 10 * time.Second

// connect makes a client for the cluster of KUBECONFIG.
func connect(settings ...func(*rest.Config)) (kubernetes.Interface, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("KUBECONFIG must lead to a cluster: %w", err)
	}
	config.QPS = -1 // the server defends itself
	config.WarningHandlerWithContext = rest.NoWarnings{}
	for _, set := range settings {
		set(config)
	}
	return kubernetes.NewForConfig(config)
}

// warnings collects what the API server says beside its answers.
type warnings struct {
	mu    sync.Mutex
	texts []string
}

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// about gives the warnings that hold all of these texts.
func (w *warnings) about(texts ...string) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.texts {
		if lacks(text, texts) == "" {
			found = append(found, text)
		}
	}
	return found
}

// attentive is a client that collects warnings.
func attentive(t *testing.T) (kubernetes.Interface, *warnings) {
	t.Helper()
	heard := &warnings{}
	client, err := connect(func(c *rest.Config) { c.WarningHandlerWithContext = heard })
	if err != nil {
		t.Fatal(err)
	}
	return client, heard
}

// newNamespace makes a namespace for one test, in which Pods can be created at
// once.
func newNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	ns, err := cluster.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "integration-", Labels: labels}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.CoreV1().Namespaces().Delete(context.Background(), ns.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	ensureAccount(t, ns.Name)
	return ns.Name
}

// ensureAccount is faster than the controller that makes the ServiceAccount.
func ensureAccount(t *testing.T, namespace string) {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	if _, err := cluster.CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// poll calls check until it has nothing to complain about.
func poll(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := check(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			return fmt.Errorf("not within %v: %w", limit, err)
		case err == nil:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %w", limit, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// within fails the test if check still complains after the limit.
func within(t *testing.T, limit time.Duration, check func(context.Context) error) {
	t.Helper()
	complaint := errors.New("no answer")
	err := poll(t.Context(), limit, func(ctx context.Context) error {
		err := check(ctx)
		if err == nil || ctx.Err() == nil {
			complaint = err
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v (before: %v)", err, complaint)
	}
}

// denied complains unless err is a denial by our webhook that says all of this.
func denied(err error, texts ...string) error {
	switch {
	case err == nil:
		return errors.New("it was admitted")
	case !apierrors.IsForbidden(err), !strings.Contains(err.Error(), "connaisseur.sse-secure-systems.github.io\" denied the request: "):
		return fmt.Errorf("this is no denial by the webhook: %w", err)
	}
	if lacking := lacks(err.Error(), texts); lacking != "" {
		return fmt.Errorf("%q is not in the denial: %w", lacking, err)
	}
	return nil
}

func wantDenied(t *testing.T, err error, texts ...string) {
	t.Helper()
	if complaint := denied(err, texts...); complaint != nil {
		t.Fatal(complaint)
	}
}

// lacks is the first of the texts that is not in s.
func lacks(s string, texts []string) string {
	for _, text := range texts {
		if !strings.Contains(s, text) {
			return text
		}
	}
	return ""
}

func dryRun() metav1.CreateOptions { return metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}} }

// try asks, without storing anything, whether a Pod of these images would be
// admitted.
func try(ctx context.Context, namespace string, images ...string) error {
	_, err := cluster.CoreV1().Pods(namespace).Create(ctx, newPod("try-", images...), dryRun())
	return err
}
