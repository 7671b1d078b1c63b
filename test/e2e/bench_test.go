//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// BenchmarkAdmission creates Pods through the API server, with dry run, from sixteen
// clients: in a namespace that is looked at, and in an exempt one, which is what the
// API server itself costs.
func BenchmarkAdmission(b *testing.B) {
	for _, row := range []struct{ name, namespace string }{{"verified", "default"}, {"exempt", "kube-system"}} {
		b.Run(row.name, func(b *testing.B) {
			const clients = 16
			var (
				group sync.WaitGroup
				mu    sync.Mutex
				all   []time.Duration
			)
			b.ResetTimer()
			for client := range clients {
				group.Go(func() {
					var mine []time.Duration
					for i := client; i < b.N; i += clients {
						start := time.Now()
						if _, err := try(b.Context(), row.namespace, "load", signed.String()); err != nil {
							b.Error(err)
						}
						mine = append(mine, time.Since(start))
					}
					mu.Lock()
					defer mu.Unlock()
					all = append(all, mine...)
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "admissions/s")
			reportTimes(b, all)
		})
	}
}

// BenchmarkReload edits the policy and waits until the API server's answer is another
// one.
func BenchmarkReload(b *testing.B) {
	b.Cleanup(func() {
		if err := configuredBase(context.Background()); err != nil {
			b.Error(err)
		}
	})
	var all []time.Duration
	for i := 0; b.Loop(); i++ {
		rule, start := [...]string{"allow", "deny"}[i%2], time.Now()
		if err := set(b.Context(), "config-policy", map[string]string{"policy": baseRules() + fmt.Sprintf("- {pattern: %q, validator: %s}\n", "example.com/reload:*", rule)}); err != nil {
			b.Fatal(err)
		}
		if err := clustertest.Poll(b.Context(), promised, func(ctx context.Context) error {
			_, err := try(ctx, metav1.NamespaceDefault, "reload", "example.com/reload:v1")
			if (err == nil) != (rule == "allow") {
				return fmt.Errorf("it is not in force: %w", err)
			}
			return nil
		}); err != nil {
			b.Error(err)
		}
		all = append(all, time.Since(start))
	}
	reportTimes(b, all)
}

// reportTimes reports the middle and the longest of some times.
func reportTimes(b *testing.B, all []time.Duration) {
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(all[len(all)-1].Microseconds())/1e3, "max-ms")
}
