//go:build integration

package bench

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/redistest"
)

// With a shared cache a registry is asked as if there were one replica.
func TestReplicasAskTheRegistryOnce(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 4} {
		if got := admitSpread(t, newSystem(t), n, redistest.Start(t)); got != 3*spread {
			t.Errorf("%d replicas: %d requests for %d images, want %d", n, got, spread, 3*spread)
		}
	}
}
