package bench

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// latency is that of the registry in benchmarks.
const latency = 50 * time.Millisecond

// together is how many admissions come at the same time.
const together = 64

// An admission that was never seen asks for what it needs, and no more.
func TestARegistryIsAskedNoMoreThanNecessary(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	first, second, third := s.signed(t), s.signed(t), s.signed(t)
	for _, step := range []struct {
		name, reference string
		want            registrytest.Counts
	}{
		// It may also be asked for referrers, in vain.
		{"the first image costs a ping and a token, too", first.String(),
			registrytest.Counts{registrytest.Ping: 1, registrytest.Token: 1, registrytest.ManifestHead: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}},
		{"a tag costs three requests", second.String(),
			registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}},
		{"a digest costs two", third.ByDigest(),
			registrytest.Counts{registrytest.ManifestGet: 1, registrytest.BlobGet: 1}},
		{"the same tag again costs none", second.String(), registrytest.Counts{}},
		{"its pinned reference costs none", second.Pinned(), registrytest.Counts{}},
		{"its digest costs none", second.ByDigest(), registrytest.Counts{}},
	} {
		settle()
		s.registry.Reset()
		s.admit(t, step.reference)
		got := s.registry.Requests()
		if step.want[registrytest.Ping] == 1 && got[registrytest.ReferrersGet] == 1 {
			delete(got, registrytest.ReferrersGet)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// A repository of its own costs a token of its own, and no ping.
func TestAnotherRepositoryCostsOneToken(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.warm(t)
	for i, want := range []int{1, 0} {
		img := s.registry.Push(t, []string{"team/other:v1", "team/other:v2"}[i])
		s.registry.Sign(t, img, s.key)
		settle()
		s.registry.Reset()
		s.admit(t, img.String())
		got := s.registry.Requests()
		if i == 0 { // its form is not known yet
			delete(got, registrytest.ReferrersGet)
		}
		if got[registrytest.Ping] != 0 || got[registrytest.Token] != want || got.Total() != 3+want {
			t.Errorf("image %d of the repository: got %v, want 3 requests, no ping and %d tokens", i, got, want)
		}
	}
}

// Admissions of one image at the same time share its verification, whether
// they meet in it or one comes just after it.
func TestConcurrentAdmissionsShareOneVerification(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
		s := newSystem(t, registrytest.Latency(delay))
		s.warm(t)
		for range 20 {
			s.registry.Reset()
			s.admitTogether(t, request(t, 0, s.signed(t).String()))
			want := registrytest.Counts{registrytest.ManifestHead: 1, registrytest.ManifestGet: 1, registrytest.BlobGet: 1}
			if diff := cmp.Diff(want, s.registry.Requests()); diff != "" {
				t.Fatalf("%d admissions of one image, latency %v (-want +got):\n%s", together, delay, diff)
			}
		}
	}
}

// admitTogether has the request admitted many times at once.
func (s *system) admitTogether(tb testing.TB, req *admissionv1.AdmissionRequest) {
	tb.Helper()
	start := make(chan struct{})
	var group sync.WaitGroup
	for range together {
		group.Go(func() {
			<-start
			if err := s.admitted(req); err != nil {
				tb.Error(err)
			}
		})
	}
	close(start)
	group.Wait()
}

// BenchmarkCold admits images that were never seen, from a registry that takes
// 50 ms for each answer: by tag 3, by digest 2.
func BenchmarkCold(b *testing.B) {
	b.Run("tag", func(b *testing.B) {
		benchmarkCold(b, func(s *system) []string { return []string{s.signed(b).String()} })
	})
	b.Run("digest", func(b *testing.B) {
		benchmarkCold(b, func(s *system) []string { return []string{s.signed(b).ByDigest()} })
	})
	b.Run("pod-of-10", func(b *testing.B) {
		benchmarkCold(b, func(s *system) []string {
			references := make([]string, 10)
			for i := range references {
				references[i] = s.signed(b).String()
			}
			return references
		})
	})
}

func benchmarkCold(b *testing.B, references func(*system) []string) {
	s := newSystem(b, registrytest.Latency(latency))
	s.warm(b)
	s.admit(b, references(s)...) // as many connections as it takes
	s.registry.Reset()
	var times []time.Duration
	for b.Loop() {
		b.StopTimer()
		req := request(b, 0, references(s)...)
		b.StartTimer()
		start := time.Now()
		if err := s.admitted(req); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	b.ReportMetric(float64(s.registry.Requests().Total())/float64(len(times)), "requests/op")
	reportMedian(b, times)
}

// BenchmarkTogether has 64 Pods of the same new image admitted at the same
// time.
func BenchmarkTogether(b *testing.B) {
	s := newSystem(b, registrytest.Latency(latency))
	s.warm(b)
	var times []time.Duration
	for b.Loop() {
		b.StopTimer()
		req := request(b, 0, s.signed(b).String())
		b.StartTimer()
		start := time.Now()
		s.admitTogether(b, req)
		times = append(times, time.Since(start))
	}
	requests := s.registry.Requests()
	b.ReportMetric(float64(requests.Total())/float64(len(times)), "requests/op")
	b.ReportMetric(float64(requests[registrytest.BlobGet])/float64(len(times)), "verifications/op")
	reportMedian(b, times)
}
