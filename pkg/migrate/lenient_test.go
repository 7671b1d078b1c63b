package migrate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// threeStrengths has a validator for each strength, and one that is lost.
const threeStrengths = `
validators:
- {name: allow, type: static, approve: true}
- {name: deny, type: static, approve: false}
- {name: lost, type: cosign, trustRoots: [{name: default, key: /etc/key.pub}]}
- name: verify
  type: cosign
  trustRoots: [{name: default, key: "KEY"}]
policy:
`

// loaded builds what was migrated.
func loaded(t *testing.T, r Result) *verify.Snapshot {
	t.Helper()
	o := config.Objects{Namespace: "connaisseur", ConfigMaps: map[string]*corev1.ConfigMap{}}
	for _, cm := range r.ConfigMaps {
		o = o.With(cm)
	}
	built := config.NewBuilder(cache.New(cache.Options{})).Build(o)
	if err := built.Errors.Err(); err != nil {
		t.Fatal(err)
	}
	return built.Snapshot
}

// What the validators demand in the original, and what is left of them.
var (
	meaning  = map[string]strength{"allow": allows, "verify": verifies, "lost": verifies, "deny": denies}
	loadedAs = map[string]strength{"allow": allows, "verify": verifies, "lost": denies, "deny": denies, "not-migrated": denies}
)

// Whatever the policy: an image for which nothing is reported as lost is not
// decided more leniently than before.
func TestNothingIsDecidedMoreLeniently(t *testing.T) {
	t.Parallel()
	patterns := []string{
		"*:*", "*", "redis", "redis:*", "redis@sha256:*", "docker.io/redis:*", "docker.io/library/redis", "docker.io/library/*:*", "docker.io/*:*",
		"myorg/*:*", "myorg/app", "myorg/app:*", "myorg/app:v1*", "my*/app", "*myorg/*:*", "*/myorg/*:*", "*/*/app", "ghcr.io/*:*", "ghcr.io/myorg/*:*", "ghcr.io/myorg/app:v1",
		"ghcr.io/myorg/{app,redis}:*", "*.io/*:v1", "*:v1*", "myorg/[!a]*:*",
	}
	var references []image.Reference
	for _, name := range []string{
		"redis", "redis-x", "xredis", "myorg/app", "myorg/app-x", "myorg/x", "x/myorg/app", "xmyorg/app", "docker.io/library/redis", "ghcr.io/redis", "ghcr.io/myorg/app", "ghcr.io/myorg/app/x",
		"ghcr.io/myorg/redis", "xghcr.io/myorg/app", "quay.io/ghcr.io/myorg/app", "quay.io/myorg/app", "quay.io/x", "ghcr.io/x", "redis.io/x", "quay.io/x/myorg/y", "ghcr.io/library/redis",
	} {
		for _, suffix := range []string{":v1", ":v12", ":x", ":redis", "@" + digest} {
			ref, err := image.Parse(name + suffix)
			if err != nil {
				t.Fatal(err)
			}
			references = append(references, ref)
		}
	}
	key := strings.ReplaceAll(string(registrytest.PublicPEM(t, registrytest.Key(t))), "\n", `\n`)
	random := rand.New(rand.NewPCG(1, 2))
	told := 0
	for range 150 {
		policy := ""
		var rules []*rule
		var validators []string
		for range random.IntN(5) + 1 {
			pattern, name := patterns[random.IntN(len(patterns))], []string{"allow", "deny", "verify", "lost"}[random.IntN(4)]
			policy += fmt.Sprintf("- {pattern: %q, validator: %s}\n", pattern, name)
			matches, err := newMatcher(pattern)
			if err != nil {
				t.Fatal(err)
			}
			rules, validators = append(rules, &rule{original: pattern, matches: matches}), append(validators, name)
		}
		m, err := translate([]byte(strings.ReplaceAll(threeStrengths, "KEY", key)+policy), "connaisseur")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprint(m.findings), "does not keep its place") {
			continue // and so it says
		}
		told++
		result, err := m.result()
		if err != nil {
			t.Fatal(err)
		}
		snapshot := loaded(t, result)
		for _, ref := range references {
			before, now := denies, denies
			chosen := choose(rules, spelled(ref))
			if i := slices.Index(rules, chosen); i >= 0 {
				before = meaning[validators[i]]
			}
			if match, ok := snapshot.Policy.Match(ref, "default"); ok {
				now = loadedAs[snapshot.Rules[match.Index].ValidatorName]
			}
			// What was found by chance, in a path or a tag, is up to the rule for
			// that registry or repository.
			chance := chosen != nil && (strings.HasPrefix(chosen.original, "ghcr.io/") && ref.Registry() != "ghcr.io" || chosen.original == "redis" && ref.Tag() == "redis")
			if now == allows && before != allows && !chance {
				t.Errorf("%s: %v before, %v now, with\n%s\n%s", ref, before, now, policy, result.ConfigMaps[0].Data["policy"])
			}
		}
		for _, d := range m.decide(m.decided(references)) {
			if m.lenient(d) {
				t.Errorf("%s is decided more leniently, with\n%s\n%s", d.ref, policy, result.ConfigMaps[0].Data["policy"])
			}
		}
	}
	if told < 100 {
		t.Errorf("only %d policies keep their place", told)
	}
}
