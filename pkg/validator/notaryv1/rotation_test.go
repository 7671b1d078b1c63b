package notaryv1_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// rotateRoot gives the root a new key, with which the old one signs the next
// version too.
func (s *scene) rotateRoot() *notarytest.Key {
	s.Helper()
	key := notarytest.NewKey(s).Certified(s, app)
	s.repo.Former = s.repo.Keys[root]
	s.repo.Keys[root] = []*notarytest.Key{key}
	s.publish()
	s.repo.Former = nil
	return key
}

// rotate gives another role a new key.
func (s *scene) rotate(role string) {
	s.Helper()
	s.repo.Keys[role] = []*notarytest.Key{notarytest.NewKey(s)}
	s.publish()
}

func TestRotatedKeysOfOtherRolesAreFollowed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	for _, role := range []string{targets, snapshot, timestamp} {
		s.trusts(b, ":v1", digestA)
		s.rotate(role)
		s.trusts(b, ":v1", digestA)
	}
}

func TestRootRotationsAreFollowedFromThePinnedKey(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	first := s.bind(nil)
	s.trusts(first, ":v1", digestA)
	var last *notarytest.Key
	for range 12 { // more than are fetched at a time
		last = s.rotateRoot()
	}
	s.rotate(targets) // a version that the last root key alone signs
	s.trusts(first, ":v1", digestA)
	s.server.Reset()
	s.trusts(first, ":v1", digestA)
	s.costs(1, "the next image after a rotation")
	s.pinned = last.PEM()
	s.trusts(s.bind(nil), ":v1", digestA)
	s.pinned = notarytest.NewKey(t).PEM()
	s.refuses(s.bind(nil), ":v1", validator.UntrustedSigner, "it has the root key")
}

func TestRootRotationsThatDoNotHangTogetherAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happens func(s *scene)
		want    validator.Reason
		text    string
	}{
		"the old key did not sign the new root": {func(s *scene) {
			s.repo.Keys[root] = []*notarytest.Key{notarytest.NewKey(s).Certified(s, app)}
			s.publish()
			s.rotate(targets)
		}, validator.UntrustedSigner, "version 2 of its root is not signed by the keys of version 1"},
		"the new key did not sign the new root": {func(s *scene) {
			old := s.repo.Keys[root]
			s.repo.Keys[root] = []*notarytest.Key{notarytest.NewKey(s).Certified(s, app)}
			s.repo.Signers[root] = old
			s.publish()
		}, validator.InvalidTrustData, "too few"},
		"a version between is missing": {func(s *scene) {
			s.rotateRoot()
			s.rotateRoot()
			s.rotate(targets)
			s.serving("2.root.json", registrytest.Status(http.StatusNotFound))
		}, validator.UntrustedSigner, "not by trust root"},
		"a version between cannot be fetched": {func(s *scene) {
			s.rotateRoot()
			s.rotateRoot()
			s.rotate(targets)
			s.serving("2.root.json", registrytest.Status(http.StatusInternalServerError))
		}, validator.RegistryUnavailable, "500"},
		"a version between is another": {func(s *scene) {
			s.rotateRoot()
			s.rotateRoot()
			files := s.publish()
			s.rotate(targets)
			s.serving("3.root.json", registrytest.Body(files["1.root.json"]))
		}, validator.UntrustedSigner, "not by trust root"},
		"a version between is of somebody else": {func(s *scene) {
			s.rotateRoot()
			s.rotateRoot()
			s.rotate(targets)
			stranger := notarytest.New(s, app)
			stranger.Versions[root] = 1
			s.serving("2.root.json", registrytest.Body(stranger.Publish(s)["2.root.json"]))
		}, validator.UntrustedSigner, "is not signed by the keys of version"},
		"a key of before the rotation signs a root of its own": {func(s *scene) {
			old := s.repo.Keys[root]
			s.rotateRoot()
			s.rotateRoot()
			s.repo.Signers[root] = old
			s.rotate(targets)
			s.pinned = s.repo.Keys[root][0].PEM()
		}, validator.UntrustedSigner, "version 4 of its root is not signed by the keys of version 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.publish()
			c.happens(s)
			s.refuses(s.bind(nil), ":v1", c.want, c.text)
		})
	}
}

// Whoever claims to have a root of version 2^40 does not make us look for all
// those before it.
func TestTheWayBackToThePinnedKeyIsBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	s.repo.Versions[root] = 1 << 40
	s.rotateRoot()
	s.pinned = notarytest.NewKey(t).PEM()
	files := map[string][]byte{}
	for name, raw := range s.publish() {
		files[name] = raw
	}
	for v := int64(1<<40 - 100); v <= 1<<40; v++ {
		s.repo.Versions[root] = v - 1
		s.repo.Signers[root] = s.repo.Keys[root]
		files[fmt.Sprintf("%d.root.json", v)] = s.repo.Publish(t)[fmt.Sprintf("%d.root.json", v)]
	}
	s.server.ServeTrustData(app, files)
	s.refuses(s.bind(nil), ":v1", validator.UntrustedSigner)
	if n := s.server.Requests()[registrytest.TrustDataGet]; n > 4+72 {
		t.Errorf("%d requests", n)
	}
}

// Several trust roots: as many must have signed the root as the rule demands.
func TestSeveralTrustRoots(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	one, two, three := s.repo.Keys[root][0], notarytest.NewKey(t).Certified(t, app), notarytest.NewKey(t)
	s.repo.Keys[root] = []*notarytest.Key{one, two}
	s.publish()
	settings := s.settings()
	settings["trustRoots"] = []any{
		map[string]any{"name": "one", "key": string(one.PEM())},
		map[string]any{"name": "two", "key": string(two.PEM())},
		map[string]any{"name": "three", "key": string(three.PEM())},
		map[string]any{"name": "any", "key": string(notarytest.NewKey(t).PEM()) + string(notarytest.NewKey(t).PEM())},
	}
	for _, c := range []struct {
		with map[string]any
		want validator.Reason
	}{
		{map[string]any{"trustRoot": "one"}, ""},
		{map[string]any{"trustRoot": "two"}, ""},
		{map[string]any{"trustRoot": "three"}, validator.UntrustedSigner},
		{map[string]any{"trustRoot": "any"}, validator.UntrustedSigner},
		{map[string]any{"trustRoot": "*"}, validator.ThresholdNotReached},
		{map[string]any{"trustRoot": "*", "threshold": 2}, ""},
		{map[string]any{"trustRoot": "*", "threshold": 3}, validator.ThresholdNotReached},
		{map[string]any{"trustRoot": "*", "required": []any{"one"}}, ""},
		{map[string]any{"trustRoot": "*", "required": []any{"one", "three"}}, validator.MissingRequired},
		{map[string]any{"trustRoot": "*", "required": []any{"two"}, "threshold": 3}, validator.ThresholdNotReached},
	} {
		b := s.bindTo(settings, c.with)
		if c.want == "" {
			s.trusts(b, ":v1", digestA)
			continue
		}
		s.refuses(b, ":v1", c.want)
	}
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
	s.rotateRoot()
	s.rotateRoot()
	b := s.bind(nil)
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

// Nor does one of which nobody knows who has signed it.
func TestARootOfAnybodyIsNoReasonToForget(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.repo.Versions[root] = 1 << 40
	s.repo.Keys[root] = []*notarytest.Key{notarytest.NewKey(t).Certified(t, app)}
	s.publish()
	s.refuses(b, ":v1", validator.UntrustedSigner)
}
