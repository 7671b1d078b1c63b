package config

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// memory is a sink that keeps what it is sent.
type memory struct {
	mu     sync.Mutex
	events []cloudevents.Event
}

func (m *memory) Send(_ context.Context, events []cloudevents.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, events...)
	return nil
}

func (*memory) Close() {}

func (m *memory) emitter() *finding.Emitter {
	e := finding.NewEmitter(finding.Options{Logger: zap.NewNop()})
	e.Apply(finding.Settings{Sinks: []finding.Spec{{Name: "memory", Open: func(context.Context) (finding.Sink, error) { return m, nil }}}})
	return e
}

func TestWhatIsTakenBackIsTold(t *testing.T) {
	t.Parallel()
	m := &memory{}
	e := m.emitter()
	store := NewStore(NewBuilder(cache.New(cache.Options{})))
	store.OnChange(func(c Change) { c.tell(e) })
	offer := func(version, detection string) {
		o := Objects{Namespace: "connaisseur", ConfigMaps: map[string]*corev1.ConfigMap{}}
		for name, data := range map[string]map[string]string{
			PolicyName:   {"validators": "- {name: allow, type: static, approve: true}\n", "policy": "- {pattern: \"*:*\", validator: allow}\n"},
			FeaturesName: {"detectionMode": detection},
		} {
			o.ConfigMaps[name] = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, ResourceVersion: version}, Data: data}
		}
		store.Offer(o)
	}
	for i, detection := range []string{"false", "true", "false", "nonsense", "false"} {
		offer(fmt.Sprint(i), detection)
	}
	e.Close(t.Context())
	var got []string
	ids := map[string]bool{}
	for _, event := range m.events {
		got = append(got, finding.Type(event.Type()).Short())
		ids[event.ID()] = true
	}
	if diff := cmp.Diff([]string{"config.applied", "config.applied", "config.applied", "config.rejected", "config.applied"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(ids) != 5 {
		t.Errorf("%d IDs", len(ids))
	}
}

func TestTrustMaterialThatExpiresIsToldOnceADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		e := m.emitter()
		now := time.Now().UTC()
		later := []observability.Expiry{{Validator: "a", TrustRoot: "gone", At: now.Add(-time.Hour)}, {Validator: "a", TrustRoot: "soon", At: now.AddDate(0, 0, 31)}, {Validator: "b", TrustRoot: "far", At: now.AddDate(1, 0, 0)}}
		var x expiries
		x.inForce.Store(&later)
		ctx, cancel := context.WithCancel(t.Context())
		go x.run(ctx, e)
		time.Sleep(47*time.Hour + 30*time.Minute) // begins at midnight
		cancel()
		e.Close(t.Context())
		type told struct {
			TrustRoot string
			Expired   bool
		}
		var got []told
		ids := map[string]bool{}
		for _, event := range m.events {
			var data finding.Trust
			if err := json.Unmarshal(event.Data(), &data); err != nil {
				t.Fatal(err)
			}
			got = append(got, told{data.TrustRoot, data.Expired})
			ids[event.ID()] = true
		}
		if diff := cmp.Diff([]told{{"gone", true}, {"gone", true}, {"soon", false}}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if len(ids) != 3 {
			t.Errorf("%d IDs", len(ids))
		}
	})
}
