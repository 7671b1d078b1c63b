//go:build integration

package metrics

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// Prometheus's own parser reads the alerts with their texts' templates, and what
// the dashboard asks for.
func TestPrometheusUnderstandsAlertsAndDashboard(t *testing.T) {
	t.Parallel()
	tool := exec.Command("../../hack/tools.sh", "check-rules")
	tool.Stderr = os.Stderr // says what is being built
	path, err := tool.Output()
	if err != nil {
		t.Fatal(err)
	}
	check := func(rules []map[string]any) (string, error) {
		text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "g", "rules": rules}}})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(strings.TrimSpace(string(path)))
		cmd.Stdin = strings.NewReader(string(text))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var all []map[string]any
	for _, r := range rules(t) {
		alert := map[string]any{"alert": r.Alert, "expr": r.Expr, "labels": r.Labels, "annotations": r.Annotations}
		if r.For != "" {
			alert["for"] = r.For
		}
		all = append(all, alert)
	}
	for where, list := range expressions(t) {
		for _, expression := range list {
			if strings.HasPrefix(where, "dashboard") {
				all = append(all, map[string]any{"record": "x", "labels": map[string]string{"panel": fmt.Sprint(len(all))}, "expr": strings.ReplaceAll(expression, "$namespace", ".*")})
			}
		}
	}
	out, err := check(all)
	if want := fmt.Sprintf("%d rules\n", len(all)); err != nil || out != want {
		t.Errorf("%v: got %s, want %s", err, out, want)
	}
	for name, wrong := range map[string]map[string]any{
		"an expression": {"alert": "A", "expr": "sum by (x) (rate(y[5m])"},
		"a template":    {"alert": "A", "expr": "x", "annotations": map[string]string{"summary": "{{ $labels.x | nonsense }}"}},
	} {
		if out, err := check([]map[string]any{wrong}); err == nil {
			t.Errorf("%s that is wrong is understood: %s", name, out)
		}
	}
}
