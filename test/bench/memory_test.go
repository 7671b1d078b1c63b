package bench

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
)

const (
	// many is how many different images are verified, and settled after how many
	// of them the memory is first looked at.
	many, settled = 10_000, 2_000
	// growth is what may be kept of the rest, in MB: results, of which a cache
	// keeps as many.
	growth = 16
)

// anyRepository is the name of one of the repositories within a path.
var anyRepository = regexp.MustCompile(`^/v2/n\d+/`)

// BenchmarkMemory verifies 10,000 different images, keyless and with everything
// switched on, and fails if more of them is kept than their results. The images
// are one under many names, so that it is not the registry that grows.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		verifyMany(b)
	}
}

func verifyMany(b *testing.B) {
	reg, sigstore := registrytest.New(b, registrytest.Referrers()), sigstoretest.New(b)
	img := reg.Push(b, "app:v1")
	inBundle(sigstore, b, reg, img, sigstore.Certificate(b, signer, issuer))
	everywhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.URL.Path = anyRepository.ReplaceAllString(req.URL.Path, "/v2/app/")
		reg.ServeHTTP(w, req)
	}))
	defer everywhere.Close()
	host := everywhere.Listener.Addr().String()
	s := systemFor(b, sigstore, host, keyless(b, 4))

	var before uint64
	var group errgroup.Group
	group.SetLimit(8)
	start := time.Now()
	for i := range many {
		if i == settled {
			_ = group.Wait()
			before = heap()
		}
		group.Go(func() error { return s.admitted(request(b, 0, fmt.Sprintf("%s/n%d:v1", host, i))) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	grown := float64(heap()) - float64(before)
	if reg.Reset(); grown > growth*1e6 {
		b.Fatalf("%d images more take %.1f MB", many-settled, grown/1e6)
	}
	b.ReportMetric(grown/1e6, "grown-MB")
	b.ReportMetric(float64(took.Microseconds())/many, "µs/image")
}

// heap is what is kept on the heap, in bytes.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what was only finalized is gone now
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
