package notaryv1_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

// T27: keys that the owner has given up sign nothing that comes after what was seen,
// be it the pinned one. Nobody who has seen nothing can know.
func TestT27KeysThatWereGivenUpCannotGoOn(t *testing.T) {
	t.Parallel()
	for _, stolen := range []int{0, 1} {
		s := newScene(t)
		keys := [][]*notarytest.Key{s.repo.Keys[root]}
		s.publish()
		for range 2 {
			keys = append(keys, []*notarytest.Key{s.rotateRoot()})
		}
		b := s.bind(nil)
		s.trusts(b, ":v1", digestA)
		s.repo.Versions[root], s.repo.Keys[root] = int64(stolen+1), keys[stolen]
		for range 3 {
			s.rotate(targets)
		}
		if stolen == 1 {
			s.refuses(b, ":v1", validator.RolledBack, "version 5 of the root of its trust data does not follow from version 3, which was seen before", "connaisseur forget")
		} else {
			s.refuses(b, ":v1", validator.RolledBack, "version 4 of the root of its trust data does not follow from version 3")
		}
		s.state = notaryv1.NewState()
		s.trusts(s.bind(nil), ":v1", digestA)
	}
}

// What was seen is on the way back to the pinned key, or behind it.
func TestTheWayBackToWhatWasSeen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		between func(s *scene)
		want    validator.Reason
		text    string
	}{
		"is followed":        {func(*scene) {}, "", ""},
		"cannot be followed": {func(s *scene) { s.serving("3.root.json", registrytest.Status(http.StatusInternalServerError)) }, validator.RegistryUnavailable, "500"},
		"has a gap":          {func(s *scene) { s.serving("3.root.json", registrytest.Status(http.StatusNotFound)) }, validator.InvalidTrustData, "the notary server lacks 3.root"},
		"ends before":        {func(s *scene) { s.serving("2.root.json", registrytest.Status(http.StatusNotFound)) }, validator.InvalidTrustData, "the notary server lacks 2.root"},
		"has another root": {func(s *scene) {
			s.serving("2.root.json", registrytest.Body(notarytest.New(s, app).Publish(s)["1.root.json"]))
		}, validator.InvalidTrustData, "another version of the root"},
		"has another's root": {func(s *scene) {
			other := notarytest.New(s, app)
			other.Versions[root] = 1
			s.serving("2.root.json", registrytest.Body(other.Publish(s)["2.root.json"]))
		}, validator.RolledBack, "does not follow from version 2"},
		"needs nothing older": {func(s *scene) { s.serving("1.root.json", registrytest.Status(http.StatusInternalServerError)) }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.publish()
			s.rotate(snapshot)
			b := s.bind(nil)
			s.trusts(b, ":v1", digestA)
			for range 3 {
				s.rotate(snapshot)
			}
			c.between(s)
			if c.want != "" {
				s.refuses(b, ":v1", c.want, c.text)
				return
			}
			s.server.Reset()
			s.trusts(b, ":v1", digestA)
			s.costs(1+3+3, "an image after three new roots")
			s.repo.Sign(targets, "v2", digestB)
			s.publish()
			s.trusts(b, ":v2", digestB)
			s.costs(1+3, "an image after the next tag") // the way back is known
		})
	}
}

// forge has whoever stole keys of version 1 of the root go on from there, with digestB.
func (s *scene) forge(stolen []*notarytest.Key, roots int) map[string][]byte {
	s.Helper()
	s.repo.Versions[root], s.repo.Keys[root] = 1, stolen
	s.repo.Sign(targets, "v1", digestB)
	var files map[string][]byte
	for range roots {
		s.repo.Keys[targets] = []*notarytest.Key{notarytest.NewKey(s)}
		s.repo.Keys[timestamp] = []*notarytest.Key{notarytest.NewKey(s)}
		files = s.publish()
	}
	return files
}

// T27: a replica that is behind accepts what others know to be forged, until they have
// told one another. Then all of them deny, also what is honest: somebody has to look.
func TestT27AReplicaThatIsBehindConvincesNobody(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	stolen := s.repo.Keys[root]
	s.publish()
	s.trusts(s.bind(nil), ":v1", digestA)
	ahead, behind := s.state, notaryv1.NewState()
	behind.Versions.Merge(ahead.Versions.All())
	s.rotateRoot()
	s.rotateRoot()
	honest := s.publish()
	s.trusts(s.bind(nil), ":v1", digestA)
	forged := s.forge(stolen, 3)
	s.state = behind
	s.trusts(s.bind(nil), ":v1", digestB)

	ahead.Versions.Merge(behind.Versions.All())
	behind.Versions.Merge(ahead.Versions.All())
	for name, state := range map[string]*notaryv1.State{"ahead": ahead, "behind": behind} {
		s.state = state
		s.serveAgain(forged)
		s.refuses(s.bind(nil), ":v1", validator.RolledBack, "version 4 of the root of its trust data does not follow from version 3")
		s.serveAgain(honest)
		s.refuses(s.bind(nil), ":v1", validator.RolledBack)
		if t.Failed() {
			t.Fatalf("the replica that is %s", name)
		}
	}
	// Once it is forgotten, what is served next counts.
	ahead.Versions.Merge(map[string]notaryv1.Seen{notaryv1.VersionsKey(s.server.Host(), app): {Resets: 1}})
	s.state = ahead
	s.trusts(s.bind(nil), ":v1", digestA)
	s.serveAgain(forged)
	s.refuses(s.bind(nil), ":v1", validator.RolledBack)
}

// T27: what was seen while trust data was being looked at counts.
func TestT27WhatIsSeenMeanwhileCounts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	stolen := s.repo.Keys[root]
	first := s.publish()
	s.trusts(s.bind(nil), ":v1", digestA)
	s.rotateRoot()
	s.rotateRoot()
	honest := s.publish()
	forged := s.forge(stolen, 3)
	asked, goOn := make(chan struct{}), make(chan struct{})
	old := s.serving("targets.json", registrytest.Body(first["targets.json"]))
	held := s.serving("targets.", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/targets.json") {
			_, _ = w.Write(first["targets.json"]) // not the one that the snapshot names
			return
		}
		close(asked)
		<-goOn
		_, _ = w.Write(forged["targets.json"])
	})
	slow, quick := s.bind(nil), s.bind(nil)
	done := make(chan error)
	go func() {
		_, err := s.validate(slow, ":v1")
		done <- err
	}()
	<-asked
	old()
	held()
	s.serveAgain(honest)
	s.trusts(quick, ":v1", digestA)
	s.serveAgain(forged)
	close(goOn)
	if err := <-done; validator.AsError(err) == nil || validator.AsError(err).Reason != validator.RolledBack {
		t.Errorf("want it to be refused, got %v", err)
	}
	s.serveAgain(honest)
	s.trusts(quick, ":v1", digestA)
}

// T27: nor is what was kept in memory trusted beside it.
func TestT27WhatWasKeptIsComparedToo(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	stolen := s.repo.Keys[root]
	s.publish()
	newest := s.rotateRoot()
	honest := s.publish()
	forged := s.forge(stolen, 3)
	deceived := s.bind(nil)
	s.trusts(deceived, ":v1", digestB)
	s.pinned = newest.PEM()
	s.state.Versions.Merge(map[string]notaryv1.Seen{notaryv1.VersionsKey(s.server.Host(), app): {Resets: 1}})
	s.serveAgain(honest)
	s.trusts(s.bind(nil), ":v1", digestA)
	s.serveAgain(forged)
	s.refuses(deceived, ":v1", validator.RolledBack)
	s.serveAgain(honest)
	s.trusts(s.bind(nil), ":v1", digestA)
}

// T27: whoever stole the pinned key after it was given up can go on after the newest root
// with a key of their own: the older ones are the owner's, and do not count for it.
func TestT27WhatIsBehindThePinnedRootIsNotVerified(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	stolen := s.repo.Keys[root]
	s.publish()
	s.rotateRoot()
	s.rotateRoot()
	ahead, behind := s.state, notaryv1.NewState()
	here := s.bind(nil)
	s.trusts(here, ":v1", digestA)
	s.repo.Keys[root] = stolen
	s.rotate(targets)
	s.repo.Sign(targets, "v1", digestB)
	s.repo.Keys[root], s.repo.Former = []*notarytest.Key{notarytest.NewKey(s).Certified(s, app)}, stolen
	s.publish()
	s.repo.Former = nil
	s.refuses(here, ":v1", validator.RolledBack)

	s.state = behind
	deceived := s.bind(nil)
	result := s.trusts(deceived, ":v1", digestB)
	behind.Versions.Merge(ahead.Versions.All())
	s.refuses(deceived, ":v1", validator.RolledBack, "does not follow from version 3")
	s.publish()
	s.refuses(deceived, ":v1", validator.RolledBack, "does not follow from version 3")

	ahead.Versions.Merge(behind.Versions.All())
	s.state = ahead
	s.refuses(here, ":v1", validator.RolledBack)
	ref, err := image.Parse(app + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	if validator.Holds(here, validator.Request{Image: ref}, result) {
		t.Error("what is refused here holds if another says so")
	}
}

// Whatever happened before, what a replica has to know is the newest root.
func TestWhatWasSeenNeedsNoOlderRoots(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	for range 6 {
		for range 12 {
			s.rotate(timestamp)
		}
		s.trusts(b, ":v1", digestA)
	}
	restarted := notaryv1.NewState()
	restarted.Versions.Merge(s.state.Versions.All())
	s.state = restarted
	s.server.Reset()
	s.trusts(s.bind(nil), ":v1", digestA)
	s.costs(4, "the first image after a restart")
}

// A cache on the way has an older root, which is not the one that the snapshot names.
func TestAnOlderRootIsReplacedByTheOneThatIsMeant(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first := s.publish()
	s.rotate(targets)
	s.trusts(s.bind(nil), ":v1", digestA)
	s.serving("root.json", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/tuf/root.json") {
			_, _ = w.Write(first["root.json"])
		}
	})
	s.publish()
	s.trusts(s.bind(nil), ":v1", digestA)
}

// Somebody has it forgotten while it is looked at.
func TestItIsForgottenMeanwhile(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	old := s.publish()
	anew := notarytest.New(t, app)
	anew.Keys[root] = s.repo.Keys[root]
	anew.Sign(targets, "v1", digestB)
	var once sync.Once
	remove := s.serving("targets.json", func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() {
			s.server.ServeTrustData(app, anew.Publish(t))
			s.state.Versions.Merge(map[string]notaryv1.Seen{notaryv1.VersionsKey(s.server.Host(), app): {Resets: 1}})
		})
		_, _ = w.Write(old["targets.json"])
	})
	_, _ = s.validate(s.bind(nil), ":v1") // either will do
	remove()
	s.trusts(s.bind(nil), ":v1", digestB)
}

// Two histories are refused before anything is asked for beside the files themselves; and
// what cannot be is refused, too.
func TestWhatReplicasSayThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for range 40 {
		s.rotate(timestamp)
	}
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	key := notaryv1.VersionsKey(s.server.Host(), app)
	for name, roots := range map[string]map[int64]string{"another": {40: "another"}, "one above all": {90: "another"}} {
		s.state.Versions.Merge(map[string]notaryv1.Seen{key: {Roots: notaryv1.Roots{Hashes: roots}}})
		s.server.Reset()
		s.refuses(b, ":v1", validator.RolledBack)
		if n := s.server.Requests()[registrytest.TrustDataGet]; n > 1+3+4 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
	if len(s.state.Versions.All()) != 1 {
		t.Error("nothing is remembered any more")
	}
}
