package notaryv1_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1"
)

const (
	app      = "example.com/team/app"
	targets  = notarytest.Targets
	releases = "targets/releases"
	alice    = "targets/alice"
	bob      = "targets/bob"
)

var digestA, digestB, digestC = digest("a"), digest("b"), digest("c")

func digest(of string) string { return "sha256:" + strings.Repeat(of, 64) }

// scene is a notary server with the trust data of one repository, in which the
// role targets has signed v1.
type scene struct {
	*testing.T
	server *registrytest.Registry
	repo   *notarytest.Repository
	state  *notaryv1.State
	client *registry.Client
	now    func() time.Time
	pinned []byte // nil for the repository's first root key
}

func newScene(t *testing.T, options ...registrytest.Option) *scene {
	t.Helper()
	s := &scene{T: t, server: registrytest.New(t, options...), repo: notarytest.New(t, app), state: notaryv1.NewState(), now: time.Now}
	client, err := registry.New(registry.Options{Hosts: []registry.Host{{Name: s.server.Host(), Insecure: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.client = client
	s.pinned = s.repo.RootPEM()
	s.repo.Sign(targets, "v1", digestA)
	return s
}

// publish signs what the repository says and has the server serve it.
func (s *scene) publish() map[string][]byte {
	s.Helper()
	files := s.repo.Publish(s)
	s.server.ServeTrustData(s.repo.Name, files)
	return files
}

// settings are a validator's, for the pinned key.
func (s *scene) settings() map[string]any {
	return map[string]any{"host": s.server.Host(), "trustRoots": []any{map[string]any{"name": "default", "key": string(s.pinned)}}}
}

// configured reads a validator's settings.
func (s *scene) configured(settings map[string]any) (*notaryv1.Notary, strict.Errors) {
	return notaryv1.New(strict.Object{Path: "validators[0]", Fields: settings}, notaryv1.Dependencies{
		State: s.state, Now: s.now,
		Open: func(string, strict.Object, registry.AccessConfig) (notaryv1.Access, strict.Errors) {
			return func(context.Context, validator.Identity) (notaryv1.Server, error) { return s.client.As(nil, ""), nil }, nil
		},
	})
}

// bind gives the validator of a rule with these settings under "with".
func (s *scene) bind(with map[string]any) *notaryv1.Bound {
	s.Helper()
	return s.bindTo(s.settings(), with)
}

func (s *scene) bindTo(settings, with map[string]any) *notaryv1.Bound {
	s.Helper()
	n, errs := s.configured(settings)
	if len(errs) > 0 {
		s.Fatal(errs)
	}
	b, errs := n.Bind(strict.Object{Path: "policy[0].with", Fields: with})
	if len(errs) > 0 {
		s.Fatal(errs)
	}
	return b
}

// delegations is "with" for these.
func delegations(names ...string) map[string]any {
	var list []any
	for _, name := range names {
		list = append(list, name)
	}
	return map[string]any{"delegations": list}
}

// validate verifies a reference to the repository: ":v1", "@sha256:…".
func (s *scene) validate(b *notaryv1.Bound, reference string) (validator.Result, error) {
	s.Helper()
	ref, err := image.Parse(s.repo.Name + reference)
	if err != nil {
		s.Fatal(err)
	}
	return b.Validate(s.Context(), validator.Request{Image: ref})
}

// trusts wants a reference to be trusted for a digest.
func (s *scene) trusts(b *notaryv1.Bound, reference, digest string) validator.Result {
	s.Helper()
	result, err := s.validate(b, reference)
	if err != nil || string(result.Digest) != digest {
		s.Errorf("%s: want %s, got %s, %v", reference, digest, result.Digest, err)
	}
	return result
}

// refuses wants a reference to be refused, with texts in the message.
func (s *scene) refuses(b *notaryv1.Bound, reference string, want validator.Reason, texts ...string) {
	s.Helper()
	result, err := s.validate(b, reference)
	failure := validator.AsError(err)
	if failure == nil || failure.Reason != want {
		s.Errorf("%s: want %s, got %s, %v", reference, want, result.Digest, err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(failure.Message, text) {
			s.Errorf("%s: want %q in the message, got: %s", reference, text, failure.Message)
		}
	}
}

// costs wants a number of requests for trust data since the last time.
func (s *scene) costs(want int, what string) {
	s.Helper()
	if got := s.server.Requests()[registrytest.TrustDataGet]; got != want {
		s.Errorf("%s costs %d requests, want %d: %v", what, got, want, s.server.Log())
	}
	s.server.Reset()
}

// serving has requests for a file answered in another way.
func (s *scene) serving(file string, answer http.HandlerFunc) (remove func()) {
	return s.server.Inject(registrytest.Fault{Kind: registrytest.TrustDataGet, Path: "/_trust/tuf/" + file, Answer: answer})
}
