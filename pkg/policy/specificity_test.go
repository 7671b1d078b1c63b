package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

// TestSpecificity has a row for each criterion of DESIGN §4, and rows that
// show that an earlier criterion outweighs a later one. The winner wins
// wherever it stands in the policy.
func TestSpecificity(t *testing.T) {
	t.Parallel()
	const ref = "docker.io/myorg/team/app:v1@" + digestA
	prod := []string{"prod"}
	for _, test := range []struct {
		name          string
		winner, loser policy.Rule
		image         string
		because       string
	}{
		{"a digest precedes a tag", policy.Rule{Pattern: "myorg/team/app@" + digestA}, policy.Rule{Pattern: "myorg/team/app:v1"}, ref, "digest"},
		{"a digest precedes more components", policy.Rule{Pattern: "*@" + digestA}, policy.Rule{Pattern: "myorg/team/app:v1"}, ref, "digest"},
		{"a digest precedes a namespace", policy.Rule{Pattern: "*@" + digestA}, policy.Rule{Pattern: "myorg/team/app:v1", Namespaces: prod}, ref, "digest"},
		{"more components precede fewer", policy.Rule{Pattern: "docker.io/myorg/*:*"}, policy.Rule{Pattern: "docker.io/*:*"}, ref, "3 against 2"},
		{"more components precede a longer prefix", policy.Rule{Pattern: "*/*/*/*"}, policy.Rule{Pattern: "docker.io/myorg/*:v1"}, ref, "4 against 3"},
		{"more components precede a namespace", policy.Rule{Pattern: "*/*/*"}, policy.Rule{Pattern: "docker.io/*", Namespaces: prod}, ref, "3 against 2"},
		{"a longer common prefix precedes", policy.Rule{Pattern: "docker.io/myorg/*:*"}, policy.Rule{Pattern: "docker.io/my*/*:*"}, ref, `in common with "myorg"`},
		{"a prefix precedes on the left", policy.Rule{Pattern: "docker.io/*/team/*"}, policy.Rule{Pattern: "*/myorg/team/app"}, ref, `in common with "docker.io"`},
		{"a prefix precedes a longer component", policy.Rule{Pattern: "docker.io/myo*/*"}, policy.Rule{Pattern: "docker.io/*[a-z][a-z]*/*"}, ref, `in common with "myorg"`},
		{"a prefix of the tag counts", policy.Rule{Pattern: "myorg/team/app:v1*"}, policy.Rule{Pattern: "myorg/team/app:v*"}, ref, `in common with "app:v1@`},
		{"a tag precedes any tag", policy.Rule{Pattern: "myorg/team/app:v1"}, policy.Rule{Pattern: "myorg/team/app:*"}, ref, `in common with "app:v1@`},
		{"any tag precedes no tag", policy.Rule{Pattern: "myorg/team/app:*"}, policy.Rule{Pattern: "myorg/team/app"}, ref, `in common with "app:v1@`},
		{"a longer component precedes", policy.Rule{Pattern: "docker.io/*rg/*"}, policy.Rule{Pattern: "docker.io/*/*"}, ref, "component 2 is longer"},
		{"a longer component precedes on the left", policy.Rule{Pattern: "*.io/*/*"}, policy.Rule{Pattern: "*/*/*app:v1"}, ref, "component 1 is longer"},
		{"*:latest precedes *:*", policy.Rule{Pattern: "*:latest"}, policy.Rule{Pattern: "*:*"}, "ghcr.io/a", "component 2 is longer"},
		{"*:* precedes *", policy.Rule{Pattern: "*:*"}, policy.Rule{Pattern: "*"}, ref, "component 2 is longer"},
		{"any tag precedes no tag for a digest alone", policy.Rule{Pattern: "ghcr.io/a:*"}, policy.Rule{Pattern: "ghcr.io/a"}, "ghcr.io/a@" + digestA, "component 2 is longer"},
		{"a longer component precedes a namespace", policy.Rule{Pattern: "*:*"}, policy.Rule{Pattern: "*", Namespaces: prod}, ref, "component 2 is longer"},
		{"a namespace precedes none", policy.Rule{Pattern: "myorg/team/app", Namespaces: prod}, policy.Rule{Pattern: "myorg/team/app"}, ref, "certain namespaces"},
		{"a namespace's glob precedes none", policy.Rule{Pattern: "*:*", Namespaces: []string{"*"}}, policy.Rule{Pattern: "*:*"}, ref, "certain namespaces"},
		{"T32: spellings make no difference", policy.Rule{Pattern: "INDEX.docker.io:443/nginx", Namespaces: prod}, policy.Rule{Pattern: "nginx"}, "nginx", "certain namespaces"},
		{"a literal host precedes a wildcard one", policy.Rule{Pattern: "ghcr.io/*:*"}, policy.Rule{Pattern: "*.io/*:*"}, "ghcr.io/a", `in common with "ghcr.io"`},
		{"strict for one precedes lenient for all", policy.Rule{Pattern: "docker.io/myorg/*:*"}, policy.Rule{Pattern: "*:*"}, ref, "3 against 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for winner, rules := range [][]policy.Rule{{test.winner, test.loser}, {test.loser, test.winner}} {
				matches := compile(t, rules...).Matches(parse(t, test.image), "prod")
				if len(matches) != 2 {
					t.Fatalf("matches: %+v", matches)
				}
				if matches[0].Index != winner {
					t.Errorf("%q precedes %q", matches[0].Pattern, matches[1].Pattern)
				}
				if !strings.Contains(matches[0].Because, test.because) || matches[1].Because != "" {
					t.Errorf("it is explained by %q and %q, want %q", matches[0].Because, matches[1].Because, test.because)
				}
			}
		})
	}
}

func TestTheEarlierOfEqualRulesPrecedes(t *testing.T) {
	t.Parallel()
	p := compile(t, policy.Rule{Pattern: "nginx:*", Namespaces: []string{"prod"}},
		policy.Rule{Pattern: "docker.io/nginx:*", Namespaces: []string{"*"}},
		policy.Rule{Pattern: "docker.io/library/nginx:*", Namespaces: []string{"prod"}})
	matches := p.Matches(parse(t, "nginx"), "prod")
	want := []policy.Match{
		{Index: 0, Pattern: "docker.io/library/nginx:*", Because: "it stands earlier in the policy"},
		{Index: 1, Pattern: "docker.io/library/nginx:*", Because: "it stands earlier in the policy"},
		{Index: 2, Pattern: "docker.io/library/nginx:*"},
	}
	if diff := cmp.Diff(want, matches, ignoreEntry); diff != "" {
		t.Errorf("Matches (-want +got):\n%s", diff)
	}
}

func TestARuleThatMatchesByTwoAlternativesIsListedOnceByTheMoreSpecific(t *testing.T) {
	t.Parallel()
	p := compile(t, patterns("ghcr.io/{*,org/*,org/app}:*", "*:*")...)
	want := []policy.Match{
		{Index: 0, Pattern: "ghcr.io/org/app:*", Because: "its pattern has more components (3 against 2)"},
		{Index: 1, Pattern: "*/*:*"},
	}
	if diff := cmp.Diff(want, p.Matches(parse(t, "ghcr.io/org/app"), ""), ignoreEntry); diff != "" {
		t.Errorf("Matches (-want +got):\n%s", diff)
	}
}

// TestARuleForOtherNamespacesIsNotInTheWay: it is as though it were not there.
func TestARuleForOtherNamespacesIsNotInTheWay(t *testing.T) {
	t.Parallel()
	p := compile(t, policy.Rule{Pattern: "nginx:1", Namespaces: []string{"dev"}}, policy.Rule{Pattern: "*:*"})
	for namespace, want := range map[string]int{"dev": 0, "prod": 1, "": 1} {
		if match, ok := p.Match(parse(t, "nginx:1"), namespace); !ok || match.Index != want {
			t.Errorf("in %q the rule %d applies, want %d", namespace, match.Index, want)
		}
	}
}
