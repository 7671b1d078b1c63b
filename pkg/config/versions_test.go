package config

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	k8stesting "k8s.io/client-go/testing"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

const app = "notary.example.com/example.com/app"

func (r *replica) remember(version int64) {
	accept := func(notaryv1.Seen) *validator.Error { return nil }
	_ = r.store.builder.notaries.Versions.Accept(app, notaryv1.Seen{Root: 1, Timestamp: version, Day: "2026-01-01"}, accept)
}

func (r *replica) remembers() int64 { return r.store.builder.notaries.Versions.All()[app].Timestamp }

// written is the ConfigMap as it is in the cluster.
func (r *replica) written(t *testing.T) *corev1.ConfigMap {
	t.Helper()
	cm, err := r.client.CoreV1().ConfigMaps("connaisseur").Get(t.Context(), VersionsName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return cm
}

func TestReplicasTellOneAnotherWhatTheyHaveSeen(t *testing.T) {
	t.Parallel()
	empty := named(VersionsName, nil)
	one, two := newReplica(t, policyAllowing("nginx"), empty), newReplica(t, policyAllowing("nginx"), empty)
	one.remember(7)
	two.remember(5)
	if err := one.Reconcile(t.Context(), versions.Name); err != nil {
		t.Fatal(err)
	}
	shared := one.written(t)
	two.put(t, shared)
	two.reconcile(t)
	if two.remembers() != 7 {
		t.Errorf("the other replica remembers %d", two.remembers())
	}
	two.remember(9)
	if err := two.Reconcile(t.Context(), versions.Name); err != nil {
		t.Fatal(err)
	}
	restarted := newReplica(t, policyAllowing("nginx"), two.written(t))
	restarted.reconcile(t)
	if restarted.remembers() != 9 {
		t.Errorf("after a restart: %d", restarted.remembers())
	}
	// What one has forgotten on request, all have.
	out, err := ForgetVersions(two.written(t), "notary.example.com", "example.com/app")
	if err != nil || out == nil {
		t.Fatal(out, err)
	}
	one.put(t, out)
	one.reconcile(t)
	if err := one.Reconcile(t.Context(), versions.Name); err != nil {
		t.Fatal(err)
	}
	if one.remembers() != 0 || !strings.Contains(one.written(t).Data[versionsKey], `"resets":1`) {
		t.Errorf("%d is remembered: %s", one.remembers(), one.written(t).Data[versionsKey])
	}
	one.remember(1)
	if one.remembers() != 1 {
		t.Errorf("afterwards: %d", one.remembers())
	}
	if again, err := ForgetVersions(out, "notary.example.com", "example.com/app"); again != nil || err != nil {
		t.Errorf("forgotten twice: %v, %v", again, err)
	}
	if other, err := ForgetVersions(out, "notary.example.com", "example.com/other"); other != nil || err != nil {
		t.Errorf("what was never known: %v, %v", other, err)
	}
}

func TestWritingVersionsIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, failure := range map[string]error{
		"a conflict": apierrors.NewConflict(corev1.Resource("configmaps"), VersionsName, fmt.Errorf("another was first")),
		"an outage":  fmt.Errorf("on fire"),
	} {
		r := newReplica(t, named(VersionsName, nil))
		r.client.PrependReactor("update", "configmaps", func(k8stesting.Action) (bool, runtime.Object, error) { return true, nil, failure })
		r.remember(1)
		if err := r.Reconcile(t.Context(), versions.Name); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	r := newReplica(t)
	if err := r.Reconcile(t.Context(), versions.Name); err != nil {
		t.Errorf("without the ConfigMap: %v", err)
	}
}

func TestVersionsThatCannotBeReadAreWrittenAnew(t *testing.T) {
	t.Parallel()
	r := newReplica(t, policyAllowing("nginx"), named(VersionsName, map[string]string{versionsKey: "{broken"}))
	if r.reconcile(t) == "" {
		t.Error("the configuration is not in force")
	}
	r.remember(3)
	if err := r.Reconcile(t.Context(), versions.Name); err != nil {
		t.Fatal(err)
	}
	if all, err := KeptVersions(r.written(t)); err != nil || all[app].Timestamp != 3 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestVersionsFitIntoAConfigMap(t *testing.T) {
	t.Parallel()
	all := map[string]notaryv1.Seen{}
	for i := range 5000 {
		all[fmt.Sprintf("notary.example.com/%s/%04d", strings.Repeat("x", 200), i)] = notaryv1.Seen{Root: 1, Day: fmt.Sprintf("20%02d-01-01", i%100)}
	}
	out, dropped, err := KeepVersions(named(VersionsName, nil), all)
	if err != nil || dropped == 0 || len(out.Data[versionsKey]) > maxVersions+10 {
		t.Fatalf("%d dropped, %d bytes, %v", dropped, len(out.Data[versionsKey]), err)
	}
	kept, err := KeptVersions(out)
	if err != nil || len(kept) != 5000-dropped {
		t.Fatalf("%d kept of which %d dropped, %v", len(kept), dropped, err)
	}
	for key := range kept {
		if kept[key].Day < "2020" {
			t.Errorf("one of %s is kept", kept[key].Day)
			break
		}
	}
	if again, _, err := KeepVersions(out, kept); again != nil || err != nil {
		t.Errorf("the same is written again: %v", err)
	}
}

// What is remembered is what can be kept.
func TestAllThatIsRememberedFits(t *testing.T) {
	t.Parallel()
	v := notaryv1.NewState().Versions
	for i := range 5000 {
		v.Merge(map[string]notaryv1.Seen{fmt.Sprintf("notary.example.com/example.com/team/app%04d", i): {
			Root: 2, Roots: notaryv1.Roots{Hashes: map[int64]string{1: "0123456789012345678901", 2: "0123456789012345678901"}},
			Timestamp: 1000, Snapshot: 100, Targets: map[string]int64{"targets": 100, "targets/releases": 100},
			Servers: "0123456789abcdef", Day: "2026-01-01",
		}})
	}
	if _, dropped, err := KeepVersions(&corev1.ConfigMap{}, v.All()); dropped > 0 || err != nil {
		t.Errorf("%d of %d are left out, %v", dropped, len(v.All()), err)
	}
}
