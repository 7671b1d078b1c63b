package notaryv1_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

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

// A root that was seen so long ago that the way back is too long costs no requests.
func TestTheWayBackToWhatWasSeenIsBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	for range 65 {
		s.rotate(timestamp)
	}
	s.server.Reset()
	s.refuses(b, ":v1", validator.RolledBack, "comes more than 64 versions after version 1, which was seen before", "connaisseur forget")
	s.costs(1+3+4, "a root after too many others")
}

// An old root that is not needed can be missing.
func TestTheWayBackEndsAtThePinnedKey(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusInternalServerError, http.StatusForbidden, http.StatusNotFound} {
		s := newScene(t)
		s.publish()
		for range 3 {
			s.rotate(timestamp)
		}
		s.rotateRoot() // the version 5, signed by the pinned key too
		s.rotate(targets)
		s.serving("2.root.json", registrytest.Status(status))
		s.trusts(s.bind(nil), ":v1", digestA)
	}
}

// Whoever can have roots looked at that nobody pins does not keep others waiting.
func TestAServerThatHangsKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.rotate(timestamp)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	evil := newScene(t)
	evil.publish()
	evil.rotate(timestamp)
	evil.pinned = notarytest.NewKey(t).PEM()
	hanging := make(chan struct{}, 8)
	evil.serving("1.root.json", func(_ http.ResponseWriter, r *http.Request) {
		hanging <- struct{}{}
		<-ctx.Done()
	})
	ref, err := image.Parse(app + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		go func() { _, _ = evil.bind(nil).Validate(ctx, validator.Request{Image: ref}) }()
		<-hanging
	}
	soon, stop := context.WithTimeout(t.Context(), 5*time.Second)
	defer stop()
	if _, err := b.Validate(soon, validator.Request{Image: ref}); err != nil {
		t.Error(err)
	}
}
