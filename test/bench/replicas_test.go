package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/redistest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// spread is how many images are admitted by replicas, and rounds how often each.
const (
	spread = 20
	rounds = 8
)

// replica is a webhook with a cache of its own.
type replica struct {
	handler *admission.Handler
	shared  *shared.Cache
}

// newReplicas starts webhooks that have the same configuration, with Redis if there
// is one.
func newReplicas(tb testing.TB, s *system, n int, redis *redistest.Server) (replicas []replica) {
	tb.Helper()
	o := objects(tb, s.registry.Host(), s.key)
	if redis != nil {
		features := &corev1.ConfigMap{Data: map[string]string{"cache.shared.url": redis.URL(), "cache.shared.secretName": "redis"}}
		features.Name, features.Namespace = config.FeaturesName, config.DefaultNamespace
		o = o.With(features)
		o.Secrets = map[string]*corev1.Secret{"redis": {ObjectMeta: metav1.ObjectMeta{Name: "redis"}, Data: redis.Secret()}}
	}
	for range n {
		r := replica{shared: &shared.Cache{}}
		results := cache.New(cache.Options{})
		results.Share(r.shared)
		built := config.NewBuilder(results).Build(o)
		if len(built.Errors) > 0 {
			tb.Fatal(built.Errors)
		}
		r.shared.Apply(built.SharedCache, "cluster", zap.NewNop())
		tb.Cleanup(r.shared.Close)
		r.handler = admission.NewMutating(verify.Engine{Now: time.Now}, func() (*verify.Snapshot, error) { return built.Snapshot, nil }, instruments(tb), logger())
		replicas = append(replicas, r)
	}
	for _, r := range replicas {
		for end := time.Now().Add(10 * time.Second); redis != nil && !r.shared.Use().Up; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				tb.Fatal("the shared cache is out of reach")
			}
		}
	}
	return replicas
}

// admit has a Pod of the images admitted by the replica.
func (r replica) admit(tb testing.TB, images ...registrytest.Image) {
	tb.Helper()
	var references []string
	for _, image := range images {
		references = append(references, image.String())
	}
	if response := r.handler.Admit(context.Background(), request(tb, 0, references...)); !response.Allowed {
		tb.Fatalf("denied: %s", response.Result.Message)
	}
}

// stored waits until all that was for the shared cache is there.
func stored(tb testing.TB, replicas []replica, entries int64) {
	tb.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		n := int64(0)
		for _, r := range replicas {
			n += r.shared.Use().Stored
		}
		if n >= entries {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("%d of %d entries are stored", n, entries)
		}
	}
}

// warmed are replicas that have a token and know the form of the repository's
// signatures, and images that none has seen.
func warmed(tb testing.TB, s *system, n int, redis *redistest.Server) (replicas []replica, images []registrytest.Image) {
	tb.Helper()
	replicas = newReplicas(tb, s, n, redis)
	for _, r := range replicas {
		r.admit(tb, s.signed(tb))
	}
	if redis != nil {
		stored(tb, replicas, int64(3*n))
	}
	settle()
	s.registry.Reset()
	for range spread {
		images = append(images, s.signed(tb))
	}
	return replicas, images
}

// admitSpread has images admitted again and again, by one replica after the other, as
// a Service does it, and returns how many requests that takes.
func admitSpread(tb testing.TB, s *system, n int, redis *redistest.Server) (requests int) {
	tb.Helper()
	replicas, images := warmed(tb, s, n, redis)
	for round := range rounds {
		for i, image := range images {
			replicas[(i+round)%n].admit(tb, image)
		}
		if redis != nil {
			stored(tb, replicas, int64(3*(n+spread)))
		}
	}
	return s.registry.Requests().Total()
}

// Without a shared cache each replica asks for itself.
func TestEachReplicaAsksTheRegistry(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 4} {
		if got := admitSpread(t, newSystem(t), n, nil); got != 3*spread*n {
			t.Errorf("%d replicas: %d requests for %d images, want %d", n, got, spread, 3*spread*n)
		}
	}
}

// BenchmarkReplicas counts the requests for images that are spread over replicas.
func BenchmarkReplicas(b *testing.B) {
	for _, n := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("%d/alone", n), func(b *testing.B) { benchmarkReplicas(b, n, nil) })
		b.Run(fmt.Sprintf("%d/shared", n), func(b *testing.B) { benchmarkReplicas(b, n, startRedis(b)) })
	}
}

func benchmarkReplicas(b *testing.B, n int, redis *redistest.Server) {
	requests, times := 0, 0
	s := newSystem(b)
	for b.Loop() {
		requests += admitSpread(b, s, n, redis)
		times++
	}
	b.ReportMetric(float64(requests)/float64(times*spread), "requests/image")
}

// startRedis skips what needs a Redis where there is none.
func startRedis(b *testing.B) *redistest.Server {
	b.Helper()
	if !redistest.Available() {
		b.Skip("there is no redis-server")
	}
	return redistest.Start(b)
}

// BenchmarkSharedCache admits an image that this replica has verified itself, or
// another one, or none, from a registry that takes 50 ms for each answer.
func BenchmarkSharedCache(b *testing.B) {
	const batch = 50
	measure := func(b *testing.B, redis *redistest.Server, by, first int) {
		s := newSystem(b, registrytest.Latency(latency))
		var replicas []replica
		var images []registrytest.Image
		var times []time.Duration
		for b.Loop() {
			b.StopTimer()
			if len(images) == 0 {
				replicas = newReplicas(b, s, 2, redis)
				for _, r := range replicas {
					r.admit(b, s.signed(b))
				}
				for range batch {
					images = append(images, s.signed(b))
				}
				if first >= 0 {
					replicas[first].admit(b, images...)
				}
				if redis != nil {
					stored(b, replicas[first:first+1], 3*(1+batch))
				}
			}
			req := request(b, 0, images[0].String())
			images = images[1:]
			b.StartTimer()
			start := time.Now()
			if response := replicas[by].handler.Admit(context.Background(), req); !response.Allowed {
				b.Fatal(response.Result.Message)
			}
			times = append(times, time.Since(start))
		}
		b.ReportMetric(float64(median(times).Nanoseconds())/1000, "p50-µs")
	}
	b.Run("own", func(b *testing.B) { measure(b, nil, 0, 0) })
	b.Run("shared", func(b *testing.B) { measure(b, startRedis(b), 1, 0) })
	b.Run("none", func(b *testing.B) { measure(b, nil, 0, -1) })
}
