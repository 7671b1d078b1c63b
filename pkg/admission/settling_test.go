package admission

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

var rollout = allKinds["Rollout"]

// listing has a function that puts a list of kinds into force.
func listing(t *testing.T, w *world) (store *config.Store, list func(workloads string)) {
	t.Helper()
	store = config.NewStore(config.NewBuilder(cache.New(cache.Options{})))
	return store, func(workloads string) {
		t.Helper()
		o := w.objects(t, "")
		o.ConfigMaps[config.WorkloadsName].Data = map[string]string{"workloads": workloads}
		store.Offer(o)
		if err := store.Problem(); err != nil {
			t.Fatal(err)
		}
	}
}

// The API server goes on asking about a kind for a moment, or asks only one of the
// webhooks; what is signed is admitted all the same, and nothing else.
func TestAKindIsVerifiedWhileItsListingIsNotKnownToEverybody(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]string{"it was taken out": {listed, ""}, "it was listed": {"", listed}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			store, list := listing(t, w)
			for _, step := range steps {
				list(step)
			}
			mutating := NewMutating(verify.Engine{}, store.Snapshot, nil, zap.NewNop())
			validating := NewValidating(verify.Engine{}, store.Snapshot, nil, zap.NewNop())
			got := mutating.Admit(t.Context(), create(rollout, podSpec(w.signed.String())))
			wantAllowed(t, got)
			if want := fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":%q}]`, w.signed.Pinned()); string(got.Patch) != want {
				t.Errorf("patch %s, want %s", got.Patch, want)
			}
			wantAllowed(t, validating.Admit(t.Context(), create(rollout, podSpec(w.signed.String()))))
			wantAllowed(t, validating.Admit(t.Context(), update(rollout, podSpec(w.signed.ByDigest()), podSpec(w.signed.String()))))
			for _, handler := range []*Handler{mutating, validating} {
				wantDenied(t, handler.Admit(t.Context(), create(rollout, podSpec(w.unsigned.String()))), "NoSignature")
			}
			wantDenied(t, validating.Admit(t.Context(), create(allKinds["Deployment"], podSpec(w.signed.String()))), "NotPinned")
		})
	}
}

func TestAKindIsNotReadLongAfterItWasTakenOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, list := listing(t, w)
	list(listed)
	list("")
	later := verify.Engine{Now: func() time.Time { return time.Now().Add(2 * time.Minute) }}
	for _, handler := range []*Handler{NewMutating(later, store.Snapshot, nil, zap.NewNop()), NewValidating(later, store.Snapshot, nil, zap.NewNop())} {
		wantDenied(t, handler.Admit(t.Context(), create(rollout, podSpec(w.signed.Pinned()))), "not covered")
	}
}

func TestPinsAreDemandedWhenAKindHasSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, list := listing(t, w)
	list("")
	list(listed)
	later := verify.Engine{Now: func() time.Time { return time.Now().Add(2 * time.Minute) }}
	wantDenied(t, NewValidating(later, store.Snapshot, nil, zap.NewNop()).Admit(t.Context(), create(rollout, podSpec(w.signed.String()))), "NotPinned")
	fresh, list := listing(t, w)
	list(listed) // as after a restart: nothing has changed
	wantDenied(t, NewValidating(verify.Engine{}, fresh.Snapshot, nil, zap.NewNop()).Admit(t.Context(), create(rollout, podSpec(w.signed.String()))), "NotPinned")
}

// Another replica leads, and has read sooner what was listed.
func TestARequestWaitsForTheConfigurationThatKnowsItsKind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, list := listing(t, w)
	list("")
	asked := make(chan struct{})
	first := true
	h := NewMutating(verify.Engine{}, func() (*verify.Snapshot, error) {
		if first {
			first = false
			close(asked)
		}
		return store.Snapshot()
	}, nil, zap.NewNop()).Patient()
	go func() {
		<-asked
		list(listed)
	}()
	wantDenied(t, h.Admit(t.Context(), create(rollout, podSpec(w.unsigned.String()))), "NoSignature")
	if first {
		t.Error("it was not asked for the configuration")
	}
}

func TestARequestWaitsForASecondAndOnlyForWhatMayBeListed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := 0
	h := NewMutating(verify.Engine{}, func() (*verify.Snapshot, error) {
		asked++
		return w.snapshots()
	}, nil, zap.NewNop()).Patient()
	unlisted := rollout
	unlisted.kind = "Unlisted"
	for name, c := range map[string]struct {
		kind  kindOf
		waits bool
	}{
		"nobody lists the kind":         {unlisted, true},
		"nobody can list the kind":      {kindOf{"rbac.authorization.k8s.io", "Role", `{"spec":`, `}`}, false},
		"it is a kind without a group":  {kindOf{"", "ConfigMap", `{"spec":`, `}`}, false},
		"nothing is said about a kind":  {kindOf{"", "", `{"spec":`, `}`}, false},
		"the kind is known, and denied": {allKinds["Pod"], false},
	} {
		asked = 0
		start := time.Now()
		wantDenied(t, h.Admit(t.Context(), create(c.kind, podSpec(w.unsigned.String()))))
		if waited := asked > 1; waited != c.waits || waited && time.Since(start) < h.patience {
			t.Errorf("%s: the configuration was asked for %d times in %v", name, asked, time.Since(start))
		}
	}
	h.patience = time.Hour
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // the API server
	defer cancel()
	wantDenied(t, h.Admit(impatient, create(unlisted, podSpec(w.unsigned.String()))), "not covered")
}
