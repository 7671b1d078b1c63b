package notaryv1_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestWhatASecondImageCosts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Sign(targets, "v2", digestB)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.costs(4, "the first image of a repository")
	s.trusts(b, ":v2", digestB)
	s.costs(1, "the second tag")
	s.trusts(s.bind(nil), ":v1", digestA)
	s.costs(1, "the same after a reload of the configuration")

	s.repo.Delegate(t, releases)
	s.repo.Sign(releases, "v1", digestC)
	s.publish()
	s.trusts(b, ":v1", digestC)
	s.costs(5, "a new version with a delegation")
	s.trusts(b, ":v1", digestC)
	s.costs(1, "an image of the delegation")
}

func TestARuleWithManyDelegationsAsksForEachOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, role := range []string{alice, bob, "targets/alice/ci"} {
		s.repo.Delegate(t, role)
		s.repo.Sign(role, "v1", digestA)
	}
	s.publish()
	b := s.bind(delegations("alice/ci", "alice", "bob"))
	s.trusts(b, ":v1", digestA)
	s.costs(7, "a rule with three delegations")
	s.trusts(b, "@"+digestA, digestA)
	s.costs(1, "the second time")
}

// Somebody publishes just now: files of two versions are fetched again by hash.
func TestFilesOfTwoVersionsAreFetchedAgainByHash(t *testing.T) {
	t.Parallel()
	for _, stale := range [][]string{{snapshot}, {targets}, {snapshot, targets}, {releases}, {root}} {
		s := newScene(t)
		s.repo.Delegate(t, releases)
		s.repo.Sign(releases, "v1", digestB)
		before := s.publish()
		s.repo.Sign(releases, "v1", digestA)
		if stale[0] == root { // by a key that does not sign the newest timestamp
			s.repo.Keys[targets] = []*notarytest.Key{notarytest.NewKey(t)}
		}
		s.publish()
		for _, role := range stale {
			s.serving(role+".json", registrytest.Body(before[role+".json"]))
		}
		s.trusts(s.bind(nil), ":v1", digestA)
		s.costs(5+len(stale), "a look while somebody publishes")
	}
}

// T27: a file that is named is read as far as it is said to be long.
func TestT27AFileThatIsLongerThanItIsSaidToBeIsRefused(t *testing.T) {
	t.Parallel()
	for _, role := range []string{snapshot, targets, releases} {
		s := newScene(t)
		s.repo.Delegate(t, releases)
		s.repo.Sign(releases, "v1", digestA)
		before := s.publish()
		after := s.publish()
		s.serving(role+".json", registrytest.Body(before[role+".json"]))
		s.serving(role+".", registrytest.Body(append(after[role+".json"], ' ')))
		s.serving(role+".json", registrytest.Body(before[role+".json"]))
		s.refuses(s.bind(nil), ":v1", validator.TooLarge, fmt.Sprintf("more than the %d bytes", len(after[role+".json"])))
	}
}

// T27: neither is one accepted of which something is missing.
func TestT27AFileThatIsShorterIsRefused(t *testing.T) {
	t.Parallel()
	for _, role := range []string{snapshot, targets, releases} {
		s := newScene(t)
		s.repo.Delegate(t, releases)
		s.repo.Sign(releases, "v1", digestA)
		file := s.publish()[role+".json"]
		s.serving(role, registrytest.Body(file[:len(file)-1]))
		s.refuses(s.bind(nil), ":v1", validator.InvalidTrustData, "is not the one that the")
	}
}

// Wrong lengths beside right hashes have been in use.
func TestTheHashTellsWhichFileIsMeant(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.repo.Alter = func(role string, signed map[string]any) {
		if role == snapshot {
			signed["meta"].(map[string]any)[root].(map[string]any)["length"] = 7
		}
	}
	s.publish()
	s.trusts(s.bind(nil), ":v1", digestA)
}

// A rotation of a server's key that is caught halfway is looked at again.
func TestARotationThatIsCaughtHalfwayIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	for _, role := range []string{timestamp, snapshot} {
		s := newScene(t)
		before := s.publish()
		s.repo.Keys[role] = []*notarytest.Key{notarytest.NewKey(t)}
		s.publish()
		s.server.Inject(registrytest.Fault{Path: "/tuf/root.json", Times: 1, Answer: registrytest.Body(before["root.json"])})
		s.trusts(s.bind(nil), ":v1", digestA)
		s.costs(8, "looking twice")
	}
}

func TestServersWithoutAllFilesOrWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	missing := registrytest.Status(http.StatusNotFound)
	for name, c := range map[string]struct {
		file   string
		answer http.HandlerFunc
		want   validator.Reason
		text   string
	}{
		"no root":              {"root.json", missing, validator.InvalidTrustData, "without root"},
		"no timestamp":         {"timestamp.json", missing, validator.InvalidTrustData, "without timestamp"},
		"no snapshot":          {"snapshot.json", missing, validator.InvalidTrustData, "without snapshot"},
		"no targets":           {"targets.json", missing, validator.InvalidTrustData, "without targets"},
		"no delegation":        {"targets/releases", missing, validator.InvalidTrustData, "targets/releases"},
		"nothing":              {"", missing, validator.NoSignature, "no trust data"},
		"an outage":            {"snapshot.json", registrytest.Status(http.StatusInternalServerError), validator.RegistryUnavailable, "notary server"},
		"an outage behind it":  {"targets/releases", registrytest.Status(http.StatusBadGateway), validator.RegistryUnavailable, "notary server"},
		"throttling":           {"", registrytest.Status(http.StatusTooManyRequests), validator.RegistryThrottled, "notary server"},
		"no access":            {"", registrytest.Status(http.StatusForbidden), validator.RegistryUnauthorized, "notary server"},
		"closed connections":   {"targets.json", registrytest.HangUp(), validator.RegistryUnavailable, "closed the connection"},
		"half an answer":       {"targets.json", registrytest.BreakOff(), validator.RegistryUnavailable, "closed the connection"},
		"giant root":           {"root.json", registrytest.Endless(http.StatusOK), validator.TooLarge, "65536 bytes"},
		"giant timestamp":      {"timestamp.json", registrytest.Endless(http.StatusOK), validator.TooLarge, "65536 bytes"},
		"giant snapshot":       {"snapshot.json", registrytest.Endless(http.StatusOK), validator.TooLarge, "1048576 bytes"},
		"giant targets":        {"targets.json", registrytest.Endless(http.StatusOK), validator.TooLarge, "4194304 bytes"},
		"giant delegation":     {"targets/releases", registrytest.Endless(http.StatusOK), validator.TooLarge, "4194304 bytes"},
		"no JSON":              {"root.json", registrytest.Body([]byte("<html>")), validator.InvalidTrustData, "root"},
		"JSON of another kind": {"root.json", registrytest.Body([]byte("[]")), validator.InvalidTrustData, "root"},
		"empty JSON":           {"timestamp.json", registrytest.Body([]byte("{}")), validator.InvalidTrustData, "nothing in it is signed"},
		"nothing signed":       {"timestamp.json", registrytest.Body([]byte(`{"signed":null,"signatures":[]}`)), validator.InvalidTrustData, "timestamp"},
		"no signature":         {"timestamp.json", registrytest.Body([]byte(`{"signed":{"_type":"Timestamp"}}`)), validator.InvalidTrustData, "too few"},
		"too many values":      {"root.json", registrytest.Body([]byte(`{"signed":{"a":[` + strings.Repeat("[],", 10_000) + `[]]}}`)), validator.InvalidTrustData, "more than 10000 values"},
		"too many signatures":  {"timestamp.json", registrytest.Body([]byte(`{"signed":{},"signatures":[` + strings.Repeat("{},", 32) + `{}]}`)), validator.InvalidTrustData, "more than 32 signatures"},
		"another's snapshot":   {"snapshot", registrytest.Body([]byte(`{"signed":{"_type":"Snapshot"},"signatures":[]}`)), validator.InvalidTrustData, "not the one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.repo.Delegate(t, releases)
			s.repo.Sign(releases, "v1", digestA)
			s.publish()
			s.serving(c.file, c.answer)
			s.refuses(s.bind(nil), ":v1", c.want, c.text)
		})
	}
}

// An outage does not fall back to what was true before.
func TestAnOutageAfterwardsIsInconclusive(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	b := s.bind(nil)
	s.trusts(b, ":v1", digestA)
	s.server.Reset()
	remove := s.serving("timestamp.json", registrytest.Status(http.StatusInternalServerError))
	s.refuses(b, ":v1", validator.RegistryUnavailable)
	s.costs(1, "an outage")
	remove()
	s.serving("", registrytest.Status(http.StatusNotFound))
	s.refuses(b, ":v1", validator.NoSignature)
}

func TestASlowServerEndsWithTheDeadline(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	s.serving("targets.json", registrytest.Hang())
	ref, err := image.Parse(app + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	client, err := registry.New(registry.Options{Timeout: 300 * time.Millisecond, Hosts: []registry.Host{{Name: s.server.Host(), Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.client = client
	begin := time.Now()
	_, err = s.bind(nil).Validate(t.Context(), validator.Request{Image: ref})
	if failure := validator.AsError(err); failure == nil || failure.Reason != validator.Timeout || time.Since(begin) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

// A redirect is followed without credentials, and changes nothing about what must
// be signed; one to this machine's own addresses or to plain HTTP is not.
func TestRedirectsToElsewhere(t *testing.T) {
	t.Parallel()
	elsewhere := newScene(t)
	elsewhere.publish()
	for name, c := range map[string]struct {
		to   string
		want validator.Reason
		text string
	}{
		"another machine's plain HTTP": {"http://192.0.2.1", validator.RegistryUnavailable, "plain HTTP"},
		"this machine":                 {"https://" + elsewhere.server.Host(), validator.RegistryUnavailable, "this machine"},
		"a metadata service":           {"http://169.254.169.254", validator.RegistryUnavailable, "plain HTTP"},
		"a metadata service's TLS":     {"https://169.254.169.254", validator.RegistryUnavailable, "metadata"},
		"a file":                       {"file:///etc", validator.RegistryUnavailable, "neither HTTP nor HTTPS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.publish()
			s.serving("root.json", registrytest.Redirect(http.StatusFound, c.to))
			s.refuses(s.bind(nil), ":v1", c.want, c.text)
		})
	}
}

// Those who want images of one repository at the same time share what is
// fetched.
func TestManyAtATimeShareWhatIsFetched(t *testing.T) {
	t.Parallel()
	s := newScene(t, registrytest.Latency(50*time.Millisecond))
	s.publish()
	b := s.bind(nil)
	done := make(chan error)
	for range 20 {
		go func() {
			ref, err := image.Parse(app + ":v1")
			if err == nil {
				_, err = b.Validate(t.Context(), validator.Request{Image: ref})
			}
			done <- err
		}()
	}
	for range 20 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := s.server.Requests()[registrytest.TrustDataGet]; n > 8 {
		t.Errorf("20 at a time cost %d requests", n)
	}
}

func TestCachesOnTheWayAreAskedToLookAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.publish()
	var asked []string
	s.serving("timestamp.json", func(w http.ResponseWriter, req *http.Request) {
		asked = append(asked, req.Header.Get("Cache-Control"))
		w.WriteHeader(http.StatusNotFound)
	})
	_, _ = s.validate(s.bind(nil), ":v1")
	if len(asked) != 1 || asked[0] != "no-cache" {
		t.Errorf("got %q", asked)
	}
}
