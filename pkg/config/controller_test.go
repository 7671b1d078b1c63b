package config

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	ourcache "github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// replica is a watcher over objects that the test changes.
type replica struct {
	*watcher
	indexer cache.Indexer
	client  *fake.Clientset
	events  *record.FakeRecorder
}

func newReplica(t testing.TB, configMaps ...*corev1.ConfigMap) *replica {
	t.Helper()
	byNamespace := cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
	r := &replica{indexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc, byNamespace), client: fake.NewSimpleClientset(), events: record.NewFakeRecorder(10)}
	for _, cm := range configMaps {
		r.put(t, cm)
	}
	secrets := cache.NewIndexer(cache.MetaNamespaceKeyFunc, byNamespace)
	r.watcher = &watcher{
		store: NewStore(NewBuilder(ourcache.New(ourcache.Options{}))), client: r.client, namespace: "connaisseur", events: r.events, logger: zap.NewNop().Sugar(),
		configMaps: corelisters.NewConfigMapLister(r.indexer).ConfigMaps("connaisseur"),
		secrets:    corelisters.NewSecretLister(secrets).Secrets("connaisseur"),
	}
	r.store.OnChange(func(c Change) { r.report(t.Context(), c) })
	return r
}

// put stores a ConfigMap as the API server and the informer would.
func (r *replica) put(t testing.TB, cm *corev1.ConfigMap) {
	t.Helper()
	cm = cm.DeepCopy()
	cm.Namespace = "connaisseur"
	if err := r.indexer.Update(cm); err != nil {
		t.Fatal(err)
	}
	_ = r.client.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("configmaps"), cm.Namespace, cm.Name)
	if err := r.client.Tracker().Add(cm); err != nil {
		t.Fatal(err)
	}
}

func (r *replica) reconcile(t testing.TB) (revision string) {
	t.Helper()
	if err := r.Reconcile(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if snapshot, err := r.store.Snapshot(); err == nil {
		return snapshot.Revision
	}
	return ""
}

func named(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

func policyAllowing(pattern string) *corev1.ConfigMap {
	return named(PolicyName, map[string]string{"validators": "- {name: default, type: static, approve: true}", "policy": "- pattern: " + pattern})
}

// DESIGN §8: a refusal is an event; and the last good configuration survives a
// restart of all replicas.
func TestAReplicaKeepsAndRestoresTheLastGoodConfiguration(t *testing.T) {
	t.Parallel()
	first := newReplica(t, policyAllowing("nginx"), named(LastGoodName, nil))
	good := first.reconcile(t)
	kept, err := first.client.CoreV1().ConfigMaps("connaisseur").Get(t.Context(), LastGoodName, metav1.GetOptions{})
	if err != nil || good == "" || kept.Annotations[RevisionAnnotation] != good {
		t.Fatalf("revision %q, kept %v, %v", good, kept.Annotations, err)
	}
	first.put(t, policyAllowing("my*/app"))
	if got := first.reconcile(t); got != good {
		t.Errorf("in force is %q", got)
	}
	if event := <-first.events.Events; !strings.Contains(event, "ConfigurationRejected") || !strings.Contains(event, "policy[0].pattern") || !strings.Contains(event, good) {
		t.Errorf("event %q", event)
	}

	restarted := newReplica(t, policyAllowing("my*/app"), kept)
	if got := restarted.reconcile(t); got != good || restarted.store.Problem() == nil {
		t.Errorf("after a restart: %q, %v", got, restarted.store.Problem())
	}
	restarted.put(t, policyAllowing("alpine"))
	if got := restarted.reconcile(t); got == good || got == "" || restarted.store.Problem() != nil {
		t.Errorf("after the repair: %q, %v", got, restarted.store.Problem())
	}
}

// T26: that something could not be written changes nothing about what is in
// force.
func TestT26AConfigurationThatCannotBeKeptIsInForce(t *testing.T) {
	t.Parallel()
	missing := newReplica(t, policyAllowing("nginx"))
	if missing.reconcile(t) == "" {
		t.Error("without the ConfigMap nothing is in force")
	}
	failing := newReplica(t, policyAllowing("nginx"), named(LastGoodName, nil))
	failing.client.PrependReactor("update", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("down") })
	if err := failing.Reconcile(t.Context(), ""); err == nil {
		t.Error("that it could not be kept is not tried again")
	}
	if _, err := failing.store.Snapshot(); err != nil {
		t.Error("with a failing API server nothing is in force")
	}
	garbage := named(LastGoodName, nil)
	garbage.BinaryData = map[string][]byte{lastGoodKey: []byte("garbage")}
	if newReplica(t, policyAllowing("nginx"), garbage).reconcile(t) == "" {
		t.Error("with garbage kept nothing is in force")
	}
	if newReplica(t, policyAllowing("my*/app"), garbage).reconcile(t) != "" {
		t.Error("garbage is in force")
	}
}

func TestWhatIsKeptAlreadyIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	r := newReplica(t, policyAllowing("nginx"), named(LastGoodName, nil))
	r.reconcile(t)
	kept, _ := r.client.CoreV1().ConfigMaps("connaisseur").Get(t.Context(), LastGoodName, metav1.GetOptions{})
	second := newReplica(t, policyAllowing("nginx"), kept)
	second.reconcile(t)
	second.reconcile(t)
	if actions := second.client.Actions(); len(actions) != 0 {
		t.Errorf("it called %v", actions)
	}
}

// tufDown is a TUF repository that is down, with what was fetched before.
type tufDown struct {
	restored []trust.Fetched
	retained []trust.Remote
}

func (m *tufDown) Remote(where trust.Remote) ([]byte, error) {
	for _, f := range m.restored {
		if f.Where == where {
			return f.Content, nil
		}
	}
	return nil, trust.ErrUnavailable
}

func (m *tufDown) OnChange(func())             {}
func (m *tufDown) Retain(used []trust.Remote)  { m.retained = used }
func (m *tufDown) Good() []trust.Fetched       { return m.restored }
func (m *tufDown) Restore(all []trust.Fetched) { m.restored = append(m.restored, all...) }

// What was fetched survives a restart during which its source is down, and the
// revision is the same.
func TestAReplicaKeepsAndRestoresWhatWasFetched(t *testing.T) {
	t.Parallel()
	where := trust.Remote{KMS: "hashivault://signing"}
	key := registrytest.PublicPEM(t, registrytest.Key(t))
	policy := named(PolicyName, map[string]string{
		"validators": "- {name: default, type: cosign, trustRoots: [{name: default, key: 'hashivault://signing'}]}",
		"policy":     "- {pattern: '*:*', with: {verifyInTransparencyLog: false}}",
	})
	first := newReplica(t, policy, named(LastGoodName, nil))
	material := &tufDown{restored: []trust.Fetched{{Where: where, Content: key, At: time.Now().Round(0)}}}
	first.material = material
	good := first.reconcile(t)
	kept, err := first.client.CoreV1().ConfigMaps("connaisseur").Get(t.Context(), LastGoodName, metav1.GetOptions{})
	if err != nil || good == "" || !slices.Equal(material.retained, []trust.Remote{where}) {
		t.Fatalf("revision %q, retained %v, %v", good, material.retained, err)
	}

	again := newReplica(t, policy, kept)
	material = &tufDown{}
	again.material = material
	if got := again.reconcile(t); got != good || len(material.restored) != 1 {
		t.Errorf("after a restart: %q and %v; want %q", got, material.restored, good)
	}
	if actions := again.client.Actions(); len(actions) != 0 {
		t.Errorf("it called %v", actions)
	}
	broken := newReplica(t, policyAllowing("my*/app"), kept)
	broken.material = &tufDown{}
	if got := broken.reconcile(t); got != good {
		t.Errorf("after a restart with a broken edit: %q; want %q", got, good)
	}
}

// T23: a setting that takes protection away leaves an event when it comes into
// force, and none when it does not.
func TestT23InsecureSettingsLeaveAnEvent(t *testing.T) {
	t.Parallel()
	r := newReplica(t, policyAllowing("nginx"), named(LastGoodName, nil))
	r.reconcile(t)
	weak := policyAllowing("nginx")
	weak.Data["policy"] += "\n  with: {mode: insecureValidateOnly}"
	r.put(t, weak)
	revision := r.reconcile(t)
	if event := <-r.events.Events; !strings.Contains(event, "Warning InsecureConfiguration config-policy: policy[0].with.mode: ") || !strings.Contains(event, revision) {
		t.Error(event)
	}
	r.put(t, named(FeaturesName, map[string]string{"webhook.failurePolicy": "Ignore"}))
	r.reconcile(t)
	if event := <-r.events.Events; !strings.Contains(event, "policy[0].with.mode: ") || !strings.Contains(event, "config-features: webhook.failurePolicy: ") {
		t.Error(event)
	}
	weak.Data["policy"] = "- pattern: my*/app\n  with: {mode: insecureValidateOnly}" // which is refused
	r.put(t, weak)
	r.reconcile(t)
	r.put(t, policyAllowing("redis"))
	r.put(t, named(FeaturesName, nil))
	r.reconcile(t)
	close(r.events.Events)
	for event := range r.events.Events {
		if strings.Contains(event, "InsecureConfiguration") {
			t.Error(event)
		}
	}
}
