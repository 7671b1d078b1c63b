//go:build integration

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// script starts and ends the webhook.
const script = "../../hack/webhook.sh"

// webhook is the process under test.
type webhook struct {
	address *url.URL // where it serves
	health  string   // where its probes are
	metrics string   // where Prometheus is told
}

var exported = regexp.MustCompile(`(?m)^export (\w+)=(.*)$`)

// findWebhook asks the script for the webhook that it has started.
func findWebhook(ctx context.Context) (webhook, error) {
	out, err := exec.CommandContext(ctx, script, "env").Output()
	if err != nil {
		return webhook{}, fmt.Errorf("%s env: %w", script, err)
	}
	var w webhook
	for _, line := range exported.FindAllStringSubmatch(string(out), -1) {
		switch line[1] {
		case "WEBHOOK_URL":
			if w.address, err = url.Parse(line[2]); err != nil {
				return webhook{}, err
			}
		case "HEALTH_URL":
			w.health = line[2]
		case "METRICS_URL":
			w.metrics = line[2]
		}
	}
	if _, err := w.readiness(ctx); err != nil {
		return webhook{}, fmt.Errorf("there is no webhook that is ready (start it with hack/webhook.sh up): %w", err)
	}
	return w, nil
}

// readiness is what the probe says.
func (w webhook) readiness(ctx context.Context) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.health+"/readiness", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("not ready: %s", text)
	}
	return strings.TrimSpace(string(text)), err
}

// revision is that of the policy in force, where nothing else waits.
func (w webhook) revision(ctx context.Context) (string, error) {
	state, err := w.readiness(ctx)
	if err != nil {
		return "", err
	}
	revision, ok := strings.CutPrefix(state, "ready, policy revision ")
	if !ok || strings.Contains(revision, "\n") {
		return "", errors.New(state)
	}
	return revision, nil
}

// entry is a line of the log.
type entry struct {
	Severity  string
	Message   string
	Errors    string
	Settings  string
	Webhook   string
	Namespace string
	Name      string
	Kind      string
	Allowed   bool
	Outcome   string
	Reason    string
	Revision  string
	DryRun    bool
}

// logged reads the lines of the log that match.
func (w webhook) logged(t *testing.T, match func(entry) bool) (found []entry) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), script, "log").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(out) {
		var e entry
		if err := json.Unmarshal(line, &e); err == nil && match(e) {
			found = append(found, e)
		}
	}
	return found
}

// restart ends the process and starts it again; the cluster stays as it is.
func (w webhook) restart(t *testing.T) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), script, "restart").CombinedOutput(); err != nil {
		t.Fatalf("%s restart: %v\n%s", script, err, out)
	}
}
