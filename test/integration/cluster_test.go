//go:build integration

package integration

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// ownNamespace is the webhook's.
const ownNamespace = "connaisseur"

// promised is how long a change of the configuration may take to be in effect.
const promised = time.Second

// patience is for what Kubernetes' own controllers and API server do.
const patience = 10 * time.Second

// newNamespace makes a namespace for one test.
func newNamespace(t *testing.T, labels map[string]string) string {
	t.Helper()
	return clustertest.NewNamespace(t, cluster, labels)
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
	client, err := clustertest.Connect(func(c *rest.Config) { c.WarningHandlerWithContext = heard })
	if err != nil {
		t.Fatal(err)
	}
	return client, heard
}

func wantDenied(t *testing.T, err error, texts ...string) {
	t.Helper()
	if complaint := clustertest.Denied(err, texts...); complaint != nil {
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
