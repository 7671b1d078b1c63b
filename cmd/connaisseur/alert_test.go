package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// alerting is a configuration with a receiver at a URL, and one that lacks a Secret.
func alerting(url string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {name: config-alerting, namespace: connaisseur}
data:
  clusterIdentifier: prod
  admitRequest: |
    receivers:
      - {template: ecs-1-12-0, receiverUrl: %q, customHeaders: ["X-Key: k8s://connaisseur/alerts/key"]}
  rejectRequest: |
    receivers:
      - {name: on-call, template: opsgenie, receiverUrl: "k8s://connaisseur/later/url"}
---
apiVersion: v1
kind: Secret
metadata: {name: alerts, namespace: connaisseur}
stringData: {key: SECRET}
`, url)
}

func TestAlertTest(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args     []string
		answer   func(http.ResponseWriter)
		dead     bool
		code     int
		out, err []string
		asked    int32
	}{
		"taken": {args: []string{"admitRequest-0"}, answer: func(w http.ResponseWriter) { _, _ = io.WriteString(w, "ok\x1b[2J\r\nfine") }, asked: 1,
			out: []string{"> ok\uFFFD[2J\n> fine\nreceiver admitRequest-0 has taken the alert\n"}},
		"refused": {args: []string{"admitRequest-0"}, answer: func(w http.ResponseWriter) { http.Error(w, "invalid_blocks", http.StatusBadRequest) }, code: exitDenied, asked: 1,
			out: []string{"> invalid_blocks\n"}, err: []string{"error: receiver admitRequest-0 does not take the alert: it answers 400 Bad Request\n"}},
		"redirected":                  {args: []string{"admitRequest-0"}, answer: func(w http.ResponseWriter) { w.WriteHeader(http.StatusFound) }, code: exitDenied, asked: 1, err: []string{"redirects and is not followed"}},
		"not reached":                 {args: []string{"admitRequest-0"}, dead: true, code: exitInconclusive, err: []string{"error: receiver admitRequest-0 could not be reached: ", "connection refused"}},
		"a Secret is missing":         {args: []string{"on-call"}, code: exitError, err: []string{"k8s://connaisseur/later/url", "does not exist"}},
		"only shown":                  {args: []string{"admitRequest-0", "--dry-run"}, out: []string{`"cluster":{"name":"prod"}`, `"type":"allowed"`}},
		"shown although it cannot be": {args: []string{"on-call", "--dry-run"}, out: []string{`"message":"CONNAISSEUR rejected Pod alert-test in default"`}},
		"another receiver":            {args: []string{"on-coll"}, code: exitError, err: []string{`there is no receiver "on-coll"; there is admitRequest-0, on-call`}},
		"no receiver":                 {code: exitError, err: []string{"exactly one receiver is needed, 0 are given", "See 'connaisseur alert test --help'"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			people := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked.Add(1); r.Header.Get("X-Key") != "SECRET" {
					t.Errorf("the headers: %v", r.Header)
				}
				row.answer(w)
			}))
			defer people.Close()
			if row.dead {
				people.Close()
			}
			file := writeFile(t, t.TempDir(), "alerting.yaml", alerting(people.URL+"/?sig=SECRET"))
			got := call(t, append([]string{"alert", "test", "--config", file}, row.args...)...)
			if got.code != row.code || asked.Load() != row.asked {
				t.Errorf("code %d, asked %d times, %s%s", got.code, asked.Load(), got.out, got.err)
			}
			wantText(t, "the output", got.out, row.out...)
			wantText(t, "the standard error", got.err, row.err...)
			if strings.Contains(got.out+got.err, "SECRET") {
				t.Errorf("a secret is shown: %s%s", got.out, got.err)
			}
			if len(row.args) == 2 && !json.Valid([]byte(got.out)) {
				t.Errorf("the payload is no JSON: %s", got.out)
			}
		})
	}
}

func TestAlertTestNeedsAGoodReceiverOnly(t *testing.T) {
	t.Parallel()
	broken := strings.ReplaceAll(alerting("https://a"), "template: opsgenie", "template: opsgeny")
	for text, want := range map[string]string{
		broken: `error: config-alerting: rejectRequest.receivers[0].template: "opsgeny" is no template; did you mean "opsgenie"?`,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config-alerting, namespace: connaisseur}\n": "there is no receiver of alerts in config-alerting",
	} {
		got := call(t, "alert", "test", "on-call", "--config", writeFile(t, t.TempDir(), "alerting.yaml", text))
		if got.code != exitError {
			t.Errorf("code %d", got.code)
		}
		wantText(t, "the standard error", got.err, want)
	}
}

func TestReceiversAreCompleted(t *testing.T) {
	t.Parallel()
	file := writeFile(t, t.TempDir(), "alerting.yaml", alerting("https://a"))
	for want, args := range map[string][]string{
		"admitRequest-0\non-call\n:4\n": {"--config", file, ""},
		":4\n":                          {"--config", file, "on-call", ""},
	} {
		if got := call(t, append([]string{"__complete", "alert", "test"}, args...)...); got.out != want {
			t.Errorf("%q, not %q", got.out, want)
		}
	}
}
