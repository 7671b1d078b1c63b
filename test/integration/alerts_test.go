//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// alertReceiver takes alerts in the format of Opsgenie.
type alertReceiver struct {
	*httptest.Server
	mu     sync.Mutex
	alerts []receivedAlert
}

type receivedAlert struct {
	Message     string
	Description string
	Priority    string
	Details     map[string]string
	key         string // Authorization
}

func newAlertReceiver(t *testing.T) *alertReceiver {
	t.Helper()
	r := &alertReceiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		one := receivedAlert{key: request.Header.Get("Authorization")}
		if err := json.NewDecoder(request.Body).Decode(&one); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.alerts = append(r.alerts, one)
	}))
	t.Cleanup(r.Close)
	return r
}

// about lists the alerts about a namespace.
func (r *alertReceiver) about(namespace string) (found []receivedAlert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.alerts {
		if one.Details["namespace"] == namespace {
			found = append(found, one)
		}
	}
	return found
}

// withReceiver is the base configuration with a receiver of alerts.
func withReceiver(list, url, more string) configuration {
	return base.set(alertingName, list, fmt.Sprintf("receivers:\n- {template: opsgenie, receiverUrl: %q, priority: 2%s}\n", url, more)).
		set(alertingName, "clusterIdentifier", "integration")
}

// applied applies a configuration and waits until it holds.
func applied(t *testing.T, c configuration) {
	t.Helper()
	before, err := hook.revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	configure(t, c)
	clustertest.Within(t, promised, func(ctx context.Context) error {
		now, err := hook.revision(ctx)
		if err == nil && now == before {
			err = errors.New("the configuration before is in force")
		}
		return err
	})
}

// Row T37: a dry run tells nobody.
func TestADenialAlertsAReceiver(t *testing.T) {
	people := newAlertReceiver(t)
	namespace := newNamespace(t, nil)
	applied(t, withReceiver("rejectRequest", people.URL, `, customHeaders: ["Authorization: GenieKey key"]`))
	pods := cluster.CoreV1().Pods(namespace)
	// What waits for a receiver is sent in its order: were the dry run told of, it
	// would be first.
	wantDenied(t, try(t.Context(), namespace, unsigned.String()), "NoSignature")
	for range 2 { // the second time it is known already
		_, err := pods.Create(t.Context(), newPod("alerts-", unsigned.String()), metav1.CreateOptions{})
		wantDenied(t, err, "NoSignature")
	}
	if _, err := pods.Create(t.Context(), newPod("alerts-", signed.String()), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(context.Context) error {
		if len(people.about(namespace)) == 0 {
			return errors.New("there is no alert")
		}
		return nil
	})
	alerts := people.about(namespace)
	if len(alerts) != 1 {
		t.Fatalf("there are %d alerts: %+v", len(alerts), alerts)
	}
	got := alerts[0]
	if !strings.HasPrefix(got.Message, "CONNAISSEUR rejected Pod") || !strings.Contains(got.Description, unsigned.String()) || got.Priority != "P2" ||
		got.Details["cluster"] != "integration" || got.Details["reason"] != "NoSignature" || got.key != "GenieKey key" {
		t.Errorf("the alert: %+v", got)
	}
	// Other replicas are told.
	cm, err := cluster.CoreV1().ConfigMaps(ownNamespace).Get(t.Context(), "connaisseur-alerts", metav1.GetOptions{})
	if err != nil || !strings.Contains(cm.Data["told.json"], `"id"`) {
		t.Errorf("connaisseur-alerts holds %v, %v", cm.Data, err)
	}
}

func TestNothingIsAdmittedOfWhichNobodyCanBeTold(t *testing.T) {
	people := newAlertReceiver(t)
	namespace := newNamespace(t, nil)
	pods := cluster.CoreV1().Pods(namespace)
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	applied(t, withReceiver("admitRequest", dead.URL+"/?token=SECRET", ", name: on-call, failIfAlertSendingFails: true"))
	_, err := pods.Create(t.Context(), newPod("alerts-", signed.String()), metav1.CreateOptions{})
	wantDenied(t, err, "AlertNotSent", "on-call", "connection refused")
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a secret is shown: %v", err)
	}
	if err := try(t.Context(), namespace, signed.String()); err != nil {
		t.Errorf("a dry run is denied: %v", err)
	}
	applied(t, withReceiver("admitRequest", people.URL, ", name: on-call, failIfAlertSendingFails: true"))
	if _, err := pods.Create(t.Context(), newPod("alerts-", signed.String()), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// It was told before the Pod was admitted.
	if alerts := people.about(namespace); len(alerts) != 1 || !strings.HasPrefix(alerts[0].Message, "CONNAISSEUR admitted Pod alerts-") {
		t.Errorf("the alerts: %+v", alerts)
	}
}
