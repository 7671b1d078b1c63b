package notaryv1_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

// serveAgain has the server go back to files of before.
func (s *scene) serveAgain(files map[string][]byte) { s.server.ServeTrustData(s.repo.Name, files) }

// T27: whoever has seen a version, in whatever replica, sees no older one.
func TestT27OlderTrustDataIsRefusedByAllReplicas(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	old := s.publish()
	s.trusts(s.bind(nil), ":v1", digestA)
	s.repo.Sign(targets, "v1", digestB) // v1 was broken, and is fixed
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestB)

	s.serveAgain(old)
	s.refuses(b, ":v1", validator.RolledBack, "the timestamp of its trust data has the version 1, but 2 was seen before", "connaisseur forget")
	other := notaryv1.NewState()
	other.Versions.Merge(s.state.Versions.All())
	s.state = other
	s.refuses(s.bind(nil), ":v1", validator.RolledBack)
	s.state = notaryv1.NewState()
	s.trusts(s.bind(nil), ":v1", digestA) // whoever has seen nothing cannot know
}

// T27: a server that holds the keys of timestamp and snapshot can make newer ones
// for older targets.
func TestT27OlderTargetsInANewerSnapshotAreRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Delegate(t, releases)
	s.repo.Sign(releases, "v1", digestA)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.repo.Versions[releases] = 0
	s.publish()
	s.trusts(b, ":v1", digestA)
	s.repo.Versions[releases] = 6
	s.publish()
	s.trusts(b, ":v1", digestA)
	for _, c := range []struct{ role, text string }{
		{releases, "the targets/releases of its trust data has the version 6, but 7"}, // what is published raises all of them
		{targets, "the targets of its trust data has the version"},
	} {
		role, text := c.role, c.text
		before := s.repo.Versions[role]
		s.repo.Versions[role] -= 2
		s.publish()
		s.refuses(b, ":v1", validator.RolledBack, text)
		s.repo.Versions[role] = before + 3
		s.publish()
		s.trusts(b, ":v1", digestA)
	}
	// Neither can it hide what was published, so that older targets count.
	s.repo.Unpublished[releases] = true
	s.publish()
	s.refuses(b, ":v1", validator.RolledBack, "lacks targets/releases")
}

func TestT27AnOlderRootIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	s.rotate(targets)
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.repo.Versions[root] = 0
	s.rotate(targets)
	s.refuses(b, ":v1", validator.RolledBack, "the root of its trust data has the version 1, but 2")
}

// TUF specification, section 5.3.11: keys of the server that were stolen could
// have been used to raise versions as far as they go.
func TestNewKeysOfTheServerBeginAnew(t *testing.T) {
	t.Parallel()
	for _, role := range []string{timestamp, snapshot} {
		s := newScene(t)
		s.repo.Versions[timestamp], s.repo.Versions[snapshot], s.repo.Versions[targets] = 1<<50, 1<<50, 7
		s.publish()
		b := s.bind(nil)
		s.trusts(b, ":v1", digestA)
		s.repo.Versions[timestamp], s.repo.Versions[snapshot], s.repo.Versions[targets] = 0, 0, 0
		s.publish()
		s.refuses(b, ":v1", validator.RolledBack)
		s.rotate(role)
		s.trusts(b, ":v1", digestA)
		s.publish()
		s.trusts(b, ":v1", digestA)
		s.repo.Versions[timestamp] = 0
		s.publish()
		s.refuses(b, ":v1", validator.RolledBack) // from there on
	}
}

// Before there were hashes of roots, only their versions were remembered.
func TestWhatWasRememberedWithoutAHashHolds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	s.trusts(s.bind(nil), ":v1", digestA)
	all := s.state.Versions.All()
	for key, seen := range all {
		seen.Roots = notaryv1.Roots{}
		all[key] = seen
	}
	s.state = notaryv1.NewState()
	s.state.Versions.Merge(all)
	s.trusts(s.bind(nil), ":v1", digestA)
	s.rotate(targets)
	s.trusts(s.bind(nil), ":v1", digestA)
	for _, seen := range s.state.Versions.All() {
		if len(seen.Hashes) != 2 || seen.Root != 2 {
			t.Errorf("%+v", seen)
		}
	}
}

// Two roots of one version are not one owner's.
func TestT27AnotherRootOfTheSameVersionIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.repo.Versions[root] = 0
	s.repo.Keys[snapshot] = []*notarytest.Key{notarytest.NewKey(t)}
	s.publish()
	s.refuses(b, ":v1", validator.RolledBack, "the root of its trust data has the version 1, of which another was seen before")
	s = newScene(t) // and be it with the same keys of the server
	s.publish()
	b = s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.repo.Versions[root] = 0
	s.repo.Keys[targets] = []*notarytest.Key{notarytest.NewKey(t)}
	s.publish()
	s.refuses(b, ":v1", validator.RolledBack, "the root of its trust data has the version 1, of which another was seen before")
}

// New keys of other roles do not.
func TestNewKeysOfTargetsDoNotBeginAnew(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.repo.Versions[snapshot] = 0
	s.rotate(targets)
	s.refuses(b, ":v1", validator.RolledBack, "the snapshot")
}

func TestNothingIsRememberedOfARepositoryThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	s.pinned = notarytest.NewKey(t).PEM()
	s.refuses(s.bind(nil), ":v1", validator.UntrustedSigner)
	if all := s.state.Versions.All(); len(all) > 0 {
		t.Errorf("remembered %v", all)
	}
}

func TestWhatIsRememberedIsTheHighestAndIsTold(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	told := 0
	s.state.Versions.OnChange(func() { told++ })
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.trusts(b, ":v1", digestA)
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	key := notaryv1.VersionsKey(s.server.Host(), app)
	got := s.state.Versions.All()[key]
	if len(got.Hashes[1]) != 22 {
		t.Errorf("the root's hash is %q", got.Hashes[1])
	}
	got.Roots, got.Servers, got.Day = notaryv1.Roots{}, "", ""
	if diff := cmp.Diff(notaryv1.Seen{Root: 1, Timestamp: 1, Snapshot: 1, Targets: map[string]int64{targets: 1}}, got); diff != "" {
		t.Error(diff)
	}
}

// chain is a root that was verified.
func chain(version int64, hash string) notaryv1.Roots {
	return notaryv1.Roots{Hashes: map[int64]string{version: hash}}
}

// Replicas merge what they have seen in any order and arrive at the same.
func TestMergingIsTheMaximumInAnyOrder(t *testing.T) {
	t.Parallel()
	seen := []notaryv1.Seen{
		{Root: 1, Roots: chain(1, "x"), Servers: "a", Timestamp: 9, Snapshot: 4, Targets: map[string]int64{targets: 2}, Day: "2026-01-01"},
		{Root: 1, Roots: chain(1, "x"), Servers: "a", Timestamp: 3, Snapshot: 5, Targets: map[string]int64{releases: 2}, Day: "2026-01-02"},
		{Root: 2, Roots: chain(2, "b"), Servers: "b", Timestamp: 1, Snapshot: 1, Targets: map[string]int64{targets: 3}, Day: "2025-01-02"},
		{Root: 3, Roots: chain(3, "a"), Servers: "b", Timestamp: 2, Snapshot: 1, Targets: map[string]int64{bob: 3}},
	}
	want := notaryv1.Seen{Root: 3, Roots: notaryv1.Roots{Hashes: map[int64]string{1: "x", 2: "b", 3: "a"}, Apart: true}, Servers: "b", Timestamp: 2, Snapshot: 1, Targets: map[string]int64{targets: 3, bob: 3}, Day: "2026-01-02"}
	permute(len(seen), func(order []int) {
		v := notaryv1.NewState().Versions
		for _, i := range order {
			v.Merge(map[string]notaryv1.Seen{"x": seen[i]})
		}
		if diff := cmp.Diff(want, v.All()["x"]); diff != "" {
			t.Errorf("in the order %v: %s", order, diff)
		}
		v.Merge(map[string]notaryv1.Seen{"x": {Resets: 1}})
		v.Merge(map[string]notaryv1.Seen{"x": want})
		if got := v.All()["x"]; got.Root != 0 || got.Resets != 1 {
			t.Errorf("after it was forgotten: %+v", got)
		}
	})
}

func permute(n int, do func([]int)) {
	var choose func(chosen []int)
	choose = func(chosen []int) {
		if len(chosen) == n {
			do(chosen)
			return
		}
	next:
		for i := range n {
			for _, c := range chosen {
				if c == i {
					continue next
				}
			}
			choose(append(chosen[:len(chosen):len(chosen)], i))
		}
	}
	choose(nil)
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	t.Parallel()
	v := notaryv1.NewState().Versions
	v.Merge(map[string]notaryv1.Seen{"old": {Root: 1, Day: "2020-01-01"}})
	for i := range 3001 {
		v.Merge(map[string]notaryv1.Seen{fmt.Sprint(i): {Root: 1, Day: "2026-01-01"}})
	}
	all := v.All()
	if _, ok := all["old"]; ok || len(all) != 3000 {
		t.Errorf("%d are remembered, the oldest among them: %t", len(all), ok)
	}
	// Nobody can have others of the same day forgotten by asking for many.
	if _, ok := all["3000"]; ok {
		t.Error("the last one took the place of another of the same day")
	}
	v.Merge(map[string]notaryv1.Seen{"tomorrow": {Root: 1, Day: "2026-01-02"}})
	if _, ok := v.All()["tomorrow"]; !ok {
		t.Error("what is verified on the next day is not remembered")
	}
}

// T27: what another replica has established from older trust data than was seen here
// is not taken from it.
func TestT27ResultsFromOlderTrustDataHoldNowhereElse(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	old := s.publish()
	before := s.trusts(s.bind(nil), ":v1", digestA)
	s.publish()
	newer := s.trusts(s.bind(nil), ":v1", digestA)

	here, elsewhere := s.bind(nil), notaryv1.NewState()
	s.state = elsewhere
	s.serveAgain(old)
	there := s.bind(nil)
	ref, err := image.Parse(s.repo.Name + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	req := validator.Request{Image: ref}
	for name, c := range map[string]struct {
		by   validator.Validator
		seen string
		want bool
	}{
		"older than was seen":             {here, before.Seen, false},
		"what was seen":                   {here, newer.Seen, true},
		"by who has seen nothing":         {there, newer.Seen, true},
		"of who has seen nothing, for us": {here, s.trusts(there, ":v1", digestA).Seen, false},
		"newer than was seen":             {there, newer.Seen, true},
		"nothing":                         {here, "", false},
		"no versions":                     {here, "{}", false},
		"not JSON":                        {here, "x", false},
		"forgotten since":                 {here, strings.Replace(newer.Seen, "{", `{"resets":1,`, 1), false},
	} {
		if got := validator.Holds(c.by, req, validator.Result{Seen: c.seen}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
