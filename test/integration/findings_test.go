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

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// broker is a receiver of CloudEvents. Each of the same source and ID counts once.
type broker struct {
	url string

	mu     sync.Mutex
	events map[string]cloudevents.Event
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{events: map[string]cloudevents.Event{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e, err := cehttp.NewEventFromHTTPRequest(r)
		if err == nil {
			err = e.Validate()
		}
		if err != nil {
			t.Errorf("not a CloudEvent: %v", err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.events[e.Source()+" "+e.ID()] = *e
	}))
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// about are the types of events about something, with how many there are of each.
func (b *broker) about(text string) map[finding.Type]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	types := map[finding.Type]int{}
	for _, e := range b.events {
		if strings.Contains(e.Subject(), text) {
			types[finding.Type(e.Type())]++
		}
	}
	return types
}

// one is the data of the one event of a type about something.
func (b *broker) one(t *testing.T, kind finding.Type, text string) (data finding.Admission) {
	t.Helper()
	clustertest.Within(t, patience, func(context.Context) error {
		if n := b.about(text)[kind]; n != 1 {
			return fmt.Errorf("%d events %s about %s: %v", n, kind.Short(), text, b.about(""))
		}
		return nil
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Type() == string(kind) && strings.Contains(e.Subject(), text) {
			if err := json.Unmarshal(e.Data(), &data); err != nil {
				t.Fatal(err)
			}
		}
	}
	return data
}

// sink is the configuration with a sink that gets everything, and one that nobody
// listens at.
func (c configuration) sink(b *broker) configuration {
	return c.set(alertingName, "clusterIdentifier", "integration").
		set(alertingName, "sinks", fmt.Sprintf("- {name: broker, url: %q}\n- {name: dead, url: 'http://127.0.0.1:1'}\n", b.url))
}

// inForce waits until the sink hears of a configuration.
func (b *broker) inForce(t *testing.T) {
	t.Helper()
	clustertest.Within(t, promised, func(context.Context) error {
		if b.about("")[finding.ConfigApplied] == 0 {
			return errors.New("no configuration was told of")
		}
		return nil
	})
}

func TestFindingsReachASink(t *testing.T) {
	namespace, b := newNamespace(t, nil), newBroker(t)
	configure(t, base.sink(b))
	b.inForce(t)

	// What is only tried is not told (T37).
	wantDenied(t, try(t.Context(), namespace, unsigned.String()), "NoSignature")

	pod := newPod("", unsigned.String())
	pod.Name = "refused"
	_, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	wantDenied(t, err, "NoSignature")
	refused := b.one(t, finding.Denied, "/api/v1/namespaces/"+namespace+"/pods/refused")
	if refused.Allowed || refused.Reason != "NoSignature" || refused.Namespace != namespace || refused.User == "" || refused.Images[0].Reference != unsigned.String() ||
		!strings.Contains(err.Error(), refused.Message) {
		t.Errorf("%+v does not say the same as %v", refused, err)
	}

	// A Deployment is admitted, and so is all that controllers make of it: each once.
	create(t, cluster.AppsV1().Deployments(namespace).Create, newDeployment("web", 1, signed.String()))
	for _, path := range []string{"/apis/apps/v1/namespaces/" + namespace + "/deployments/web", "/apis/apps/v1/namespaces/" + namespace + "/replicasets/web-", "/api/v1/namespaces/" + namespace + "/pods/web-"} {
		if got := b.one(t, finding.Admitted, path); got.Outcome != "Trusted" || got.Images[0].Digest != signed.Digest || got.PolicyRevision == "" {
			t.Errorf("%s: %+v", path, got)
		}
	}

	configure(t, base.sink(b).set(featuresName, "detectionMode", "true"))
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, namespace, unsigned.String()) })
	detected := newPod("", unsigned.String())
	detected.Name = "detected"
	create(t, cluster.CoreV1().Pods(namespace).Create, detected)
	if got := b.one(t, finding.Detected, "/pods/detected"); !got.Allowed || got.Outcome != "Detected" || got.Images[0].Tolerated != "Detection" {
		t.Errorf("%+v", got)
	}
	if types := b.about(namespace); types[finding.Denied] != 1 || types[finding.Detected] != 1 {
		t.Errorf("told of %v", types)
	}
}

// What is wrong with the configuration is told to the sinks of the one in force.
func TestARefusedConfigurationIsTold(t *testing.T) {
	b := newBroker(t)
	configure(t, base.sink(b))
	b.inForce(t)
	if err := cluster.CoreV1().ConfigMaps(ownNamespace).Delete(t.Context(), featuresName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(context.Context) error {
		if n := b.about(featuresName)[finding.ConfigRejected]; n != 1 {
			return fmt.Errorf("%d events, of %v", n, b.about(""))
		}
		return nil
	})
}
