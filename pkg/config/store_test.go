package config_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
)

func revisionOf(t testing.TB, s *config.Store) string {
	t.Helper()
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Revision
}

func TestAnEmptyStoreSaysWhyItHasNothing(t *testing.T) {
	t.Parallel()
	s := config.NewStore(builder())
	if snapshot, err := s.Snapshot(); snapshot != nil || err == nil || !strings.Contains(err.Error(), "it has not been read yet") || s.Problem() != nil {
		t.Errorf("got %v, %v, %v", snapshot, err, s.Problem())
	}
	s.Offer(objects())
	if _, err := s.Snapshot(); err == nil || !strings.Contains(err.Error(), "no such ConfigMap") || s.Problem() == nil {
		t.Errorf("got %v, %v", err, s.Problem())
	}
}

// T25 and DESIGN §8: whatever happens to the configuration, the last good one
// stays in force, and the problem is told until it is gone.
func TestT25TheLastGoodConfigurationStaysInForce(t *testing.T) {
	t.Parallel()
	key := publicKey(t)
	good := func() config.Objects {
		return objects(cosignPolicy("configmap://extra/a.pub"), trustRoots(entries{}), features(entries{"cache.expirySeconds": "7"}), workloads(rollouts), configMap("extra", entries{"a.pub": key}))
	}
	for name, c := range map[string]struct {
		change  func(config.Objects)
		problem string
	}{
		"config-policy is deleted":                {func(o config.Objects) { delete(o.ConfigMaps, config.PolicyName) }, "config-policy: there is no such ConfigMap"},
		"config-trust-roots is deleted":           {func(o config.Objects) { delete(o.ConfigMaps, config.TrustRootsName) }, "config-trust-roots: was deleted"},
		"config-workloads is deleted":             {func(o config.Objects) { delete(o.ConfigMaps, config.WorkloadsName) }, "config-workloads: was deleted"},
		"an edit breaks a workload":               {func(o config.Objects) { o.ConfigMaps[config.WorkloadsName] = workloads("[{}]") }, "config-workloads: workloads[0].group: is missing"},
		"config-features is deleted":              {func(o config.Objects) { delete(o.ConfigMaps, config.FeaturesName) }, "config-features: was deleted"},
		"a ConfigMap with trust roots is deleted": {func(o config.Objects) { delete(o.ConfigMaps, "extra") }, "ConfigMap extra does not exist"},
		"everything is deleted":                   {func(o config.Objects) { clear(o.ConfigMaps) }, "config-policy: there is no such ConfigMap"},
		"an edit breaks the policy":               {func(o config.Objects) { o.ConfigMaps[config.PolicyName] = policyOf("[", "") }, "is not valid YAML"},
		"an edit breaks a key":                    {func(o config.Objects) { o.ConfigMaps["extra"] = configMap("extra", entries{"a.pub": "broken"}) }, "extra: a.pub: is not a PEM public key"},
		"an edit breaks a feature":                {func(o config.Objects) { o.ConfigMaps[config.FeaturesName] = features(entries{"x": "y"}) }, "config-features: x: unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := config.NewStore(builder())
			var changes []config.Change
			s.OnChange(func(c config.Change) { changes = append(changes, c) })
			s.Offer(good())
			first := revisionOf(t, s)
			broken := good()
			c.change(broken)
			s.Offer(broken)
			s.Offer(broken) // informers repeat themselves
			if got := revisionOf(t, s); got != first {
				t.Errorf("in force is %s instead of %s", got, first)
			}
			if s.Problem() == nil || !strings.Contains(s.Problem().Error(), c.problem) {
				t.Errorf("want the problem %q, got %v", c.problem, s.Problem())
			}
			s.Offer(good())
			if got := revisionOf(t, s); got != first || s.Problem() != nil {
				t.Errorf("after the repair: %s, %v", got, s.Problem())
			}
			if len(changes) != 3 || len(changes[0].Errors) != 0 || len(changes[1].Errors) == 0 || changes[1].Snapshot == nil || len(changes[2].Errors) != 0 {
				t.Errorf("want three changes, the second refused; got %d: %+v", len(changes), changes)
			}
			if changes[1].Objects.ConfigMaps[config.PolicyName] == nil {
				t.Error("a refused change does not tell what is in force")
			}
		})
	}
}

func TestWhatDoesNotMatterIsNotBuiltAgain(t *testing.T) {
	t.Parallel()
	s := config.NewStore(builder())
	built := 0
	s.OnChange(func(config.Change) { built++ })
	o := objects(cosignPolicy("configmap://config-trust-roots/a.pub"), trustRoots(entries{"a.pub": publicKey(t)}))
	s.Offer(o)
	before, _ := s.Snapshot()
	s.Offer(o)
	roots := o.ConfigMaps[config.TrustRootsName].DeepCopy()
	roots.Data["unused.pub"] = publicKey(t)
	s.Offer(o.With(roots))
	s.Offer(o.With(configMap("somebody-elses", entries{"x": "y"})))
	o.Secrets["somebody-elses"] = secret("somebody-elses", entries{"x": "y"})
	s.Offer(o)
	if after, _ := s.Snapshot(); after != before || built != 1 {
		t.Errorf("it was built %d times", built)
	}
	roots = roots.DeepCopy()
	roots.Data["a.pub"] = publicKey(t)
	s.Offer(o.With(roots))
	if after, _ := s.Snapshot(); after == before || built != 2 {
		t.Errorf("the new key was not noticed, %d", built)
	}
}

// One admission sees one snapshot, also while the configuration changes.
func TestTheStoreIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	s := config.NewStore(builder())
	one, two := objects(allowing()), objects(allowing(), features(entries{"cache.expirySeconds": "9"}))
	s.Offer(one)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				s.Offer(one)
				s.Offer(two)
			}
		})
		wg.Go(func() {
			for range 500 {
				if snapshot, err := s.Snapshot(); err != nil || len(snapshot.Rules) != 1 {
					t.Error(snapshot, err)
				}
				_ = s.Problem()
			}
		})
	}
	wg.Wait()
}

// keptOf is the ConfigMap with the last good configuration.
func keptOf(t testing.TB, o config.Objects) *corev1.ConfigMap {
	t.Helper()
	var kept *corev1.ConfigMap
	s := config.NewStore(builder())
	s.OnChange(func(c config.Change) {
		var err error
		if kept, err = config.Keep(configMap(config.LastGoodName, nil), c); err != nil {
			t.Fatal(err)
		}
	})
	s.Offer(o)
	return kept
}

func TestARestartSurvivesABrokenEdit(t *testing.T) {
	t.Parallel()
	key := publicKey(t)
	good := objects(cosignPolicy("configmap://extra/a.pub"), trustRoots(entries{"x.pub": key}), features(entries{"cache.expirySeconds": "7"}), workloads(rollouts), configMap(config.AlertingName, entries{"clusterIdentifier": "test"}),
		configMap("extra", entries{"a.pub": key}), configMap("unrelated", entries{"password": "hunter2"}), secret("team", entries{"cosign.pub": key}))
	revision := build(t, good).Revision
	kept := keptOf(t, good)
	if got := kept.Annotations[config.RevisionAnnotation]; got != revision {
		t.Errorf("want revision %s, got %s", revision, got)
	}
	before, found, err := config.Kept(kept, "connaisseur", good.Secrets)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if before.ConfigMaps["unrelated"] != nil {
		t.Error("it keeps what is none of its business")
	}
	for _, name := range append(slices.Clone(config.Names), "extra") {
		if before.ConfigMaps[name] == nil {
			t.Fatalf("%s is not kept", name)
		}
		if diff := cmp.Diff(good.ConfigMaps[name].Data, before.ConfigMaps[name].Data); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	for name, change := range map[string]func(config.Objects){
		"an edit broke it":             func(o config.Objects) { o.ConfigMaps[config.PolicyName] = policyOf("[", "") },
		"config-policy was deleted":    func(o config.Objects) { delete(o.ConfigMaps, config.PolicyName) },
		"config-features was deleted":  func(o config.Objects) { delete(o.ConfigMaps, config.FeaturesName) },
		"the extra one was deleted":    func(o config.Objects) { delete(o.ConfigMaps, "extra") },
		"everything of it was deleted": func(o config.Objects) { clear(o.ConfigMaps) },
	} {
		broken := objects()
		for name, cm := range good.ConfigMaps {
			broken.ConfigMaps[name] = cm
		}
		change(broken)
		s := config.NewStore(builder())
		var restored bool
		s.OnChange(func(c config.Change) { restored = restored || c.Restored })
		s.Expect(before)
		s.Offer(broken)
		s.Restore(before)
		if got := revisionOf(t, s); got != revision || !restored || s.Problem() == nil {
			t.Errorf("%s: in force is %s, restored %v, problem %v", name, got, restored, s.Problem())
		}
		s.Offer(good)
		if got := revisionOf(t, s); got != revision || s.Problem() != nil {
			t.Errorf("%s, and was repaired: %s, %v", name, got, s.Problem())
		}
	}
}

func TestAGoodConfigurationIsNotReplacedByAnOlderOne(t *testing.T) {
	t.Parallel()
	before := objects(allowing())
	now := objects(allowing(), features(entries{"cache.expirySeconds": "7"}))
	s := config.NewStore(builder())
	s.Expect(before)
	s.Offer(now)
	s.Restore(before)
	if got := revisionOf(t, s); got != build(t, now).Revision || s.Problem() != nil {
		t.Errorf("got %s, %v", got, s.Problem())
	}
}

func TestWhatCannotBeRestoredIsNot(t *testing.T) {
	t.Parallel()
	s := config.NewStore(builder())
	s.Offer(objects())
	s.Restore(objects(policyOf("[", "")))
	if _, err := s.Snapshot(); err == nil || !strings.Contains(err.Error(), "no such ConfigMap") {
		t.Errorf("got %v", err)
	}
	for name, cm := range map[string]*corev1.ConfigMap{
		"garbage":       {BinaryData: map[string][]byte{"configuration.json.gz": []byte("garbage")}},
		"half of it":    half(keptOf(t, objects(allowing()))),
		"empty garbage": {BinaryData: map[string][]byte{"configuration.json.gz": nil}},
	} {
		if _, found, err := config.Kept(cm, "connaisseur", nil); found || err == nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	if _, found, err := config.Kept(&corev1.ConfigMap{}, "connaisseur", nil); found || err != nil {
		t.Errorf("nothing kept: %v, %v", found, err)
	}
}

func half(cm *corev1.ConfigMap) *corev1.ConfigMap {
	for key, value := range cm.BinaryData {
		cm.BinaryData[key] = value[:len(value)/2]
	}
	return cm
}
