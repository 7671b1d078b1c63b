//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// The page that shows findings runs beside the webhook, and is told what is denied.
func TestTheEventViewerIsTold(t *testing.T) {
	clustertest.Within(t, patience, settled)
	const manifest = "config/optional/event-viewer.yaml"
	t.Cleanup(func() {
		if err := set(context.Background(), "config-alerting", map[string]string{"sinks": "[]"}); err != nil {
			t.Error(err)
		}
		if _, err := command(context.Background(), "ko", "delete", "-f", manifest); err != nil {
			t.Error(err)
		}
	})
	if _, err := command(t.Context(), "ko", "apply", "--sbom=none", "-f", manifest); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "-n", ownNamespace, "rollout", "status", "deployment/event-viewer", "--timeout", patience.String())
	sink := "- {name: event-viewer, url: http://event-viewer.connaisseur.svc.cluster.local, mode: batched}\n"
	if err := set(t.Context(), "config-alerting", map[string]string{"sinks": sink}); err != nil {
		t.Fatal(err)
	}
	address, stop, err := forward(t.Context(), ownNamespace, "service/event-viewer", 80)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	namespace := newNamespace(t)
	clustertest.Within(t, patience, func(ctx context.Context) error {
		pod := newPod("unsigned", unsigned.String())
		if _, err := cluster.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); clustertest.Denied(err, "NoSignature") != nil {
			return clustertest.Denied(err, "NoSignature")
		}
		return shown(ctx, "http://"+address+"/events", unsigned.String())
	})
}

// shown is a complaint if a stream of events has none with the text for two seconds.
func shown(ctx context.Context, url, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			return nil
		}
	}
	return errors.New("no event has " + text)
}

// A cluster takes what may be applied besides.
func TestWhatIsOptionalIsValid(t *testing.T) {
	kubectl(t, "apply", "--dry-run=server", "-f", "config/optional/horizontalpodautoscaler.yaml", "-f", "config/optional/pull-secrets.yaml")
}
