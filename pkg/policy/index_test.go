package policy_test

import (
	"fmt"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

// manyRules gives n rules that the format makes of a number, and a last one
// for everything.
func manyRules(n int, format string) []policy.Rule {
	rules := make([]policy.Rule, n, n+1)
	for i := range rules {
		rules[i].Pattern = fmt.Sprintf(format, i)
	}
	return append(rules, policy.Rule{Pattern: "*:*"})
}

// TestMatchingDoesNotSlowDownWithTheNumberOfRules counts instead of measuring.
func TestMatchingDoesNotSlowDownWithTheNumberOfRules(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, rules, image string }{
		{"rules for repositories", "ghcr.io/org/app-%d", "ghcr.io/org/app-7:v1"},
		{"rules for repositories with any tag", "ghcr.io/org/app-%d:*", "ghcr.io/org/app-7:v1"},
		{"rules for tags of repositories", "ghcr.io/org/app-%d:v*", "ghcr.io/org/app-7:v1"},
		{"rules for repositories of Docker Hub", "app-%d", "app-7"},
		{"rules for organisations", "ghcr.io/org-%d/*:*", "ghcr.io/org-7/app:v1"},
		{"rules for organisations of Docker Hub", "org-%d/*:*", "org-7/app:v1"},
		{"rules for hosts", "r%d.example.com/*:*", "r7.example.com/app:v1"},
		{"rules for ports", "localhost:%d/*:*", "localhost:7/app:v1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ref := parse(t, test.image)
			for _, n := range []int{10, 10_000} {
				p := compile(t, manyRules(n, test.rules)...)
				if match, ok := p.Match(ref, ""); !ok || match.Index != 7 {
					t.Errorf("of %d rules %d applies", n, match.Index)
				}
				if got := p.LookedAt(ref); got != 2 { // the one that applies, and *:*
					t.Errorf("with %d rules %d are looked at, want 2", n, got)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, kind := range []struct{ name, rules, image string }{
		{"literal", "ghcr.io/org/app-%d", "ghcr.io/org/app-7:v1"},
		{"organisation", "ghcr.io/org-%d/*:*", "ghcr.io/org-7/app:v1"},
	} {
		for _, n := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("%s/rules=%d", kind.name, n), func(b *testing.B) {
				p, ref := compile(b, manyRules(n, kind.rules)...), parse(b, kind.image)
				b.ReportAllocs()
				for b.Loop() {
					if match, ok := p.Match(ref, "default"); !ok || match.Index != 7 {
						b.Fatal(match)
					}
				}
			})
		}
	}
}

func BenchmarkCompile10000(b *testing.B) {
	for _, kind := range []struct{ name, rules string }{{"literal", "ghcr.io/org/app-%d"}, {"wildcard", "ghcr.io/org-%d/*-app:v*"}} {
		b.Run(kind.name, func(b *testing.B) {
			rules := manyRules(10_000, kind.rules)
			b.ReportAllocs()
			for b.Loop() {
				if _, errs := policy.Compile(rules); errs != nil {
					b.Fatal(errs)
				}
			}
		})
	}
}
