//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BenchmarkAdmission creates Pods through the API server, with dry run, from
// sixteen clients: in a namespace that is looked at, and in one that is not, which
// is what the API server itself costs.
func BenchmarkAdmission(b *testing.B) {
	for name, namespace := range map[string]string{"verified": "default", "unlooked": "kube-system"} {
		b.Run(name, func(b *testing.B) {
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := try(b.Context(), namespace, "load", signed.String()); err != nil {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "admissions/s")
		})
	}
}

// BenchmarkReload edits the policy and waits until the API server's answer is
// another one.
func BenchmarkReload(b *testing.B) {
	b.Cleanup(func() {
		if err := configuredBase(context.Background()); err != nil {
			b.Error(err)
		}
	})
	for i := 0; b.Loop(); i++ {
		rule := [...]string{"allow", "deny"}[i%2]
		if err := set(b.Context(), "config-policy", map[string]string{"policy": baseRules() + fmt.Sprintf("- {pattern: %q, validator: %s}\n", "example.com/reload:*", rule)}); err != nil {
			b.Fatal(err)
		}
		if err := poll(b.Context(), promised, func(ctx context.Context) error {
			_, err := try(ctx, metav1.NamespaceDefault, "reload", "example.com/reload:v1")
			if (err == nil) != (rule == "allow") {
				return fmt.Errorf("it is not in force: %w", err)
			}
			return nil
		}); err != nil {
			b.Error(err)
		}
	}
}
