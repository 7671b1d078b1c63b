package bench

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notarytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// notarySystem is the webhook within the process, with a notary server (its
// registry) and a policy that demands the trust data of every image. There is no
// registry to ask.
type notarySystem struct {
	*system
	root  *notarytest.Key // of all repositories
	roles []string        // that sign
}

// newNotarySystem starts a system. These delegations sign, and are the ones that
// the policy names if named is set; without any, the role targets does.
func newNotarySystem(tb testing.TB, delegations []string, named bool, options ...registrytest.Option) *notarySystem {
	tb.Helper()
	s := &notarySystem{system: &system{registry: registrytest.New(tb, options...)}, root: notarytest.NewKey(tb), roles: []string{"targets"}}
	with := fields{}
	if len(delegations) > 0 {
		s.roles = delegations
	}
	if named {
		with["delegations"] = delegations
	}
	text := func(v any) string {
		out, err := yaml.Marshal(v)
		if err != nil {
			tb.Fatal(err)
		}
		return string(out)
	}
	built := config.NewBuilder(cache.New(cache.Options{})).Build(configuration(map[string]string{
		"validators": text([]fields{{"name": "default", "type": "notaryv1", "host": s.registry.Host(), "trustRoots": []fields{{"name": "default", "key": string(s.root.PEM())}}}}),
		"policy":     text([]fields{{"pattern": "*:*", "with": with}}),
		"registries": text([]fields{{"host": s.registry.Host(), "insecure": true}}),
	}))
	if len(built.Errors) > 0 {
		tb.Fatal(built.Errors)
	}
	s.handler = admission.NewMutating(verify.Engine{Now: time.Now}, func() (*verify.Snapshot, error) { return built.Snapshot, nil }, instruments(tb), logger())
	return s
}

// publish has the server know a new repository, with the tags v0 and v1 in every
// role that signs.
func (s *notarySystem) publish(tb testing.TB) (name string) {
	tb.Helper()
	s.images++
	name = fmt.Sprintf("registry.example.com/team/app-%d", s.images)
	repo := notarytest.New(tb, name)
	repo.Keys[notarytest.Root] = []*notarytest.Key{s.root.Certified(tb, name)}
	for _, role := range s.roles {
		if role != notarytest.Targets {
			repo.Delegate(tb, role)
		}
		for i := range 2 {
			repo.Sign(role, fmt.Sprintf("v%d", i), "sha256:"+strings.Repeat(fmt.Sprint(i), 64))
		}
	}
	s.registry.ServeTrustData(name, repo.Publish(tb))
	return name
}

// signers names delegations.
func signers(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("targets/signer-%d", i))
	}
	return names
}

// notaryCases are rules, and what a new image costs by them: root, timestamp,
// snapshot and targets, and each delegation.
var notaryCases = []struct {
	name        string
	delegations []string
	named       bool
	options     []registrytest.Option
	want        registrytest.Counts
}{
	{"targets", nil, false, nil, registrytest.Counts{registrytest.TrustDataGet: 4}},
	{"releases", []string{"targets/releases"}, false, nil, registrytest.Counts{registrytest.TrustDataGet: 5}},
	{"5-delegations", signers(5), true, nil, registrytest.Counts{registrytest.TrustDataGet: 9}},
	{"50-delegations", signers(50), true, nil, registrytest.Counts{registrytest.TrustDataGet: 54}},
	{"targets-with-token", nil, false, []registrytest.Option{registrytest.Bearer("", "")}, registrytest.Counts{registrytest.Token: 1, registrytest.TrustDataGet: 4}},
	{"releases-with-token", []string{"targets/releases"}, false, []registrytest.Option{registrytest.Bearer("", "")}, registrytest.Counts{registrytest.Token: 1, registrytest.TrustDataGet: 5}},
}

// A repository that was never seen costs one request for each of its files, and
// then one for each tag.
func TestAnAdmissionAsksANotaryServerNoMoreThanNecessary(t *testing.T) {
	t.Parallel()
	for _, c := range notaryCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newNotarySystem(t, c.delegations, c.named, c.options...)
			s.admit(t, s.publish(t)+":v0") // pings
			name := s.publish(t)
			for _, step := range []struct {
				tag  string
				want registrytest.Counts
			}{{"v0", c.want}, {"v1", registrytest.Counts{registrytest.TrustDataGet: 1}}, {"v1", registrytest.Counts{}}} {
				s.registry.Reset()
				s.admit(t, name+":"+step.tag)
				if diff := cmp.Diff(step.want, s.registry.Requests()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", step.tag, diff)
				}
			}
		})
	}
}

// BenchmarkAdmissionNotary admits images of repositories that were never seen,
// by a notary server that takes 50 ms for each answer. The ping is remembered;
// where a token is wanted, each repository costs one of its own.
func BenchmarkAdmissionNotary(b *testing.B) {
	for _, c := range notaryCases {
		b.Run(c.name, func(b *testing.B) {
			benchmarkNotary(b, c.want.Total(), newNotarySystem(b, c.delegations, c.named, append(c.options, registrytest.Latency(latency))...), func(s *notarySystem) string {
				return s.publish(b) + ":v0"
			})
		})
	}
	b.Run("second-tag", func(b *testing.B) {
		benchmarkNotary(b, 1, newNotarySystem(b, nil, false, registrytest.Latency(latency)), func(s *notarySystem) string {
			name := s.publish(b)
			s.admit(b, name+":v0")
			return name + ":v1"
		})
	})
}

// benchmarkNotary admits images, and fails if one costs more requests than most.
func benchmarkNotary(b *testing.B, most int, s *notarySystem, reference func(*notarySystem) string) {
	b.Helper()
	s.admit(b, reference(s)) // as many connections as it takes
	var times []time.Duration
	requests := 0
	for b.Loop() {
		b.StopTimer()
		req := request(b, 0, reference(s))
		s.registry.Reset()
		b.StartTimer()
		start := time.Now()
		if err := s.admitted(req); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
		got := s.registry.Requests()
		if requests += got.Total(); got.Total() > most {
			b.Errorf("an image costs %v, want %d requests at most", got, most)
		}
	}
	b.ReportMetric(float64(requests)/float64(len(times)), "requests/op")
	reportMedian(b, times)
}
