package notaryv1_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestATagThatTargetsHaveSignedIsTrusted(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	s.repo.Expires["timestamp"] = end
	s.publish()
	b := s.bind(nil)
	result := s.trusts(b, ":v1", digestA)
	result.Signers, result.Seen = nil, "" // hold the key's ID
	if diff := cmp.Diff(validator.Result{Digest: image.Digest(digestA), TrustRoots: []string{"default"}, Expires: end}, result); diff != "" {
		t.Error(diff)
	}
	s.trusts(b, "@"+digestA, digestA)
	s.trusts(b, ":v1@"+digestA, digestA)
	s.refuses(b, ":v2", validator.NoSignature, `targets has no tag "v2"`, app)
	s.refuses(b, "@"+digestB, validator.NoSignature, digestB)
	s.refuses(b, ":v1@"+digestB, validator.DigestMismatch, digestA, digestB)
}

// A result is not relied on longer than the certificates of the root's keys are valid,
// of as many as must have signed.
func TestAResultEndsWithTheRootsCertificates(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	sooner, later := time.Now().Add(time.Hour).UTC().Truncate(time.Second), time.Now().Add(2*time.Hour).UTC().Truncate(time.Second)
	s.repo.Keys[root] = []*notarytest.Key{s.repo.Keys[root][0].CertifiedUntil(t, app, sooner), notarytest.NewKey(t).CertifiedUntil(t, app, later)}
	s.publish()
	if result := s.trusts(s.bind(nil), ":v1", digestA); !result.Expires.Equal(later) {
		t.Errorf("with one key of two it ends at %v, want %v", result.Expires, later)
	}
	s.repo.Thresholds[root] = 2
	s.publish()
	if result := s.trusts(s.bind(nil), ":v1", digestA); !result.Expires.Equal(sooner) {
		t.Errorf("with two keys of two it ends at %v, want %v", result.Expires, sooner)
	}
}

// A certificate that expired long ago, beside one that counts, ends nothing.
func TestAResultDoesNotEndBeforeItBegins(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Keys[root] = append([]*notarytest.Key{notarytest.NewKey(t).CertifiedUntil(t, app, time.Now().AddDate(-2, 0, 0))}, s.repo.Keys[root]...)
	s.publish()
	if result := s.trusts(s.bind(nil), ":v1", digestA); result.Expires.Before(time.Now()) {
		t.Errorf("it ended at %v", result.Expires)
	}
}

func TestARepositoryWithoutTrustDataIsNotSigned(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.refuses(s.bind(nil), ":v1", validator.NoSignature, "has no trust data for "+app)
}

func TestWhoSignedIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Delegate(t, alice)
	s.repo.Sign(alice, "v1", digestA)
	s.publish()
	result := s.trusts(s.bind(delegations("alice")), ":v1", digestA)
	if len(result.Signers) != 2 || result.Signers[1] != "role targets/alice" || result.Signers[0][:18] != "default (root key " {
		t.Errorf("signed by %q", result.Signers)
	}
}

// Docker's client signs with the delegation releases where there is one; the
// role targets then is what was signed before.
func TestTheDelegationReleasesCountsWhereItIsPublished(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Sign(targets, "old", digestC)
	s.repo.Delegate(t, releases)
	s.repo.Unpublished[releases] = true
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA) // declared, but never published

	s.repo.Unpublished[releases] = false
	s.repo.Sign(releases, "v1", digestB)
	s.publish()
	s.trusts(b, ":v1", digestB)
	s.refuses(b, ":old", validator.NoSignature, "targets/releases has no tag", "the role targets has it")
}

func TestWithoutTheDelegationReleasesTargetsCount(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Delegate(t, alice)
	s.repo.Sign(alice, "v2", digestB)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.refuses(b, ":v2", validator.NoSignature, "targets/alice", "with.delegations")
}

func TestAllDelegationsThatARuleNamesMustHaveSigned(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, role := range []string{alice, bob, releases, "targets/carol"} {
		s.repo.Delegate(t, role)
	}
	s.repo.Unpublished["targets/carol"] = true
	s.repo.Sign(alice, "v1", digestA)
	s.repo.Sign(bob, "v1", digestA)
	s.repo.Sign(alice, "split", digestA)
	s.repo.Sign(bob, "split", digestB)
	s.repo.Sign(alice, "half", digestA)
	s.repo.Sign(releases, "other", digestC)
	s.publish()
	both := s.bind(delegations("alice", "targets/bob"))
	s.trusts(both, ":v1", digestA)
	s.trusts(both, "@"+digestA, digestA)
	s.trusts(s.bind(delegations("alice")), ":half", digestA)
	s.refuses(both, ":split", validator.AmbiguousDigest, digestA, digestB, alice, bob)
	s.refuses(both, ":half", validator.MissingRequired, `targets/bob has no tag "half"`)
	s.refuses(both, ":none", validator.NoSignature)
	s.refuses(both, ":other", validator.NoSignature)
	s.refuses(both, "@"+digestB, validator.MissingRequired, "targets/alice has no tag")
	s.refuses(both, ":v1@"+digestB, validator.DigestMismatch)
	s.refuses(s.bind(delegations("alice", "carol")), ":v1", validator.MissingRequired, "targets/carol has not signed anything yet")
	s.refuses(s.bind(delegations("alice", "dave")), ":v1", validator.MissingRequired, "there is no delegation targets/dave")
}

func TestDelegationsOfDelegationsAreFollowed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Delegate(t, alice, "v")
	s.repo.Delegate(t, "targets/alice/ci", "v1", "x")
	s.repo.Sign("targets/alice/ci", "v1.1", digestB)
	s.repo.Sign("targets/alice/ci", "v2", digestB)
	s.repo.Sign("targets/alice/ci", "x", digestC)
	s.publish()
	b := s.bind(delegations("alice/ci"))
	s.trusts(b, ":v1.1", digestB)
	s.trusts(b, "@"+digestB, digestB)
	s.refuses(b, ":v2", validator.NoSignature) // not what ci is for
	s.refuses(b, ":x", validator.NoSignature)  // ci is for it, but alice is not
	s.refuses(b, "@"+digestC, validator.NoSignature)
	s.refuses(s.bind(delegations("bob/ci")), ":v1.1", validator.NoSignature, "there is no delegation targets/bob/ci")
}

// T27: a delegation is for tags with its prefixes only.
func TestT27ADelegationCannotSignOutsideOfItsPaths(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Delegate(t, releases, "release-")
	s.repo.Sign(releases, "release-1", digestA)
	s.repo.Sign(releases, "nightly", digestB)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":release-1", digestA)
	s.refuses(b, ":nightly", validator.NoSignature, `targets/releases is not for the tag "nightly"`)
	s.refuses(b, "@"+digestB, validator.NoSignature)
}

func TestATagWithoutASHA256DigestIsRefused(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Sign(targets, "none", "")
	s.repo.Sign(targets, "short", "sha256:abcd")
	s.publish()
	b := s.bind(nil)
	s.refuses(b, ":none", validator.InvalidTrustData)
	s.refuses(b, ":short", validator.InvalidTrustData)
}

// The resolver tells what a tag stands for by the trust data, whatever digest
// stands beside it.
func TestT31TagsAreResolvedByTheTrustData(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	for reference, want := range map[string]string{":v1": digestA, ":v1@" + digestB: digestA, "@" + digestB: digestB} {
		ref, err := image.Parse(app + reference)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := b.Resolve(t.Context(), validator.Request{Image: ref}); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", reference, got, err)
		}
	}
}

func TestNamesOfDockerHubAreWhole(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	files := s.publish()
	s.server.ServeTrustData("docker.io/library/app", files)
	ref, err := image.Parse("app:v1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.bind(nil).Validate(t.Context(), validator.Request{Image: ref})
	if failure := validator.AsError(err); failure == nil || failure.Reason != validator.InvalidTrustData {
		t.Errorf("the certificate is for %s, but got %v", app, err)
	}
	for _, request := range s.server.Log()[1:] {
		if want := "/v2/docker.io/library/app/_trust/tuf/"; len(request.Path) < len(want) || request.Path[:len(want)] != want {
			t.Errorf("asked for %s", request.Path)
		}
	}
}
