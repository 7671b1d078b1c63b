package bench

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

// rules are the numbers of rules that are compared.
var rules = []int{10, 10_000}

func literal(i int) string { return fmt.Sprintf("registry.example.com/team-%d/app-%d", i%100, i) }

// BenchmarkMatch matches an image against rules for literal repositories.
func BenchmarkMatch(b *testing.B) {
	for _, n := range rules {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			list := []policy.Rule{{Pattern: "*:*"}}
			for i := range n - 1 {
				list = append(list, policy.Rule{Pattern: literal(i)})
			}
			compiled, errs := policy.Compile(list)
			if errs != nil {
				b.Fatal(errs[0])
			}
			references := make([]image.Reference, 9)
			for i := range references {
				ref, err := image.Parse(literal(i*(n-1)/len(references)) + ":v1")
				if err != nil {
					b.Fatal(err)
				}
				references[i] = ref
			}
			i := 0
			for b.Loop() {
				if m, ok := compiled.Match(references[i%len(references)], "default"); !ok || m.Index == 0 {
					b.Fatalf("matched %+v", m)
				}
				i++
			}
		})
	}
}

// BenchmarkReload builds and takes into force a configuration of that many
// rules, as a change of the ConfigMap does.
func BenchmarkReload(b *testing.B) {
	for _, n := range rules {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			store := config.NewStore(config.NewBuilder(cache.New(cache.Options{})))
			i := 0
			for b.Loop() {
				i++
				store.Offer(manyRules(n, i))
				if err := store.Problem(); err != nil {
					b.Fatal(err)
				}
			}
			snapshot, err := store.Snapshot()
			if err != nil || len(snapshot.Rules) != n {
				b.Fatalf("%d rules were not taken into force: %v", n, err)
			}
		})
	}
}

// manyRules is a configuration of n rules whose content depends on revision.
func manyRules(n, revision int) config.Objects {
	var text strings.Builder
	fmt.Fprintf(&text, "- pattern: \"*:*\"\n  validator: deny\n")
	for i := range n - 1 {
		fmt.Fprintf(&text, "- pattern: %q\n  validator: %s\n", literal(i), []string{"allow", "deny"}[(i+revision)%2])
	}
	return configuration(map[string]string{
		"validators": "- {name: allow, type: static, approve: true}\n- {name: deny, type: static, approve: false}\n",
		"policy":     text.String(),
	})
}
