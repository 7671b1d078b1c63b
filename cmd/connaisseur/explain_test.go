package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExplainSaysWhichRuleAppliesAndWhy(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("a", 64)
	path := policyFile(t, allowAndDeny, `
- {pattern: "*:*", validator: deny}
- {pattern: "docker.io/library/*:*", validator: allow}
- {pattern: "nginx:v1*", validator: allow}
- {pattern: "docker.io/library/*:*", validator: deny, namespaces: ["prod-*"]}
- {pattern: "docker.io/library/*@`+digest+`", validator: deny}
- {pattern: "ghcr.io/org/app", validator: allow, with: {mode: insecureValidateOnly}}
`)
	for name, row := range map[string]struct {
		args []string
		want []string
	}{
		"a name is spelled out": {[]string{"nginx:v1.2"}, []string{
			"Canonical:  docker.io/library/nginx:v1.2\n", "Namespace:  default\n", `Rule:       policy[2] "nginx:v1*"`,
			`which means "docker.io/library/nginx:v1*"`}},
		"more in common wins": {[]string{"nginx:v1.2"}, []string{
			`policy[1] "docker.io/library/*:*", validator "allow" of type static`, `policy[2] precedes it: its pattern has more characters in common with "nginx:v1.2"`}},
		"more components win": {[]string{"redis"}, []string{
			"Rule:       policy[1]", "policy[1] precedes it: its pattern has more components (3 against 2)"}},
		"a namespace wins": {[]string{"redis", "-n", "prod-eu"}, []string{
			"Rule:       policy[3]", "for the namespaces prod-*", "policy[3] precedes it: it is for certain namespaces only"}},
		"a digest wins": {[]string{"redis@" + digest}, []string{
			"Rule:       policy[4]", "policy[4] precedes it: its pattern names the digest"}},
		"a rule by itself": {[]string{"quay.io/a/b"}, []string{
			"Rule:       policy[0]", "denies every image, whoever signed it", "It is the only rule that matches."}},
		"a tag beside a digest is a claim": {[]string{"nginx:v1@sha256:" + strings.Repeat("b", 64)}, []string{
			"Rule:       policy[2]", `whether "v1" really stands for sha256:bbb`, `otherwise policy[1] "docker.io/library/*:*" does`}},
		"an excluded namespace":            {[]string{"nginx", "-n", "kube-system"}, []string{"does not look at namespace"}},
		"the namespace of the system":      {[]string{"nginx", "-n", "connaisseur"}, []string{"where Connaisseur itself runs"}},
		"what a static validator answers":  {[]string{"redis"}, []string{"allows every image without a signature"}},
		"a rule's settings":                {[]string{"ghcr.io/org/app:1"}, []string{"With:       mode: insecureValidateOnly"}},
		"the help says what the codes are": {[]string{"--help"}, []string{"exit code"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := call(t, append([]string{"explain", "--config", path}, row.args...)...)
			if got.code != exitOK {
				t.Errorf("code %d, %s", got.code, got.err)
			}
			wantText(t, "the output", got.out, row.want...)
		})
	}
}

func TestExplainOfACosignRule(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	requests := l.registry.Requests().Total()
	got := call(t, "explain", "--config", l.config, l.signed.Pinned())
	wantText(t, "the output", got.out, `Validator:  "default" of type cosign`, "Mode:       mutate: the webhook puts the digest", "With:       verifyInTransparencyLog: false")
	if l.registry.Requests().Total() != requests {
		t.Error("the registry was asked")
	}
}

func TestExplainWritesARulesSettingsAsTheyAreInTheConfigMap(t *testing.T) {
	t.Parallel()
	path := policyFile(t, allowAndDeny+`
- {name: cosign, type: cosign, trustRoots: [{name: any, keyless: {issuer: "https://i.example", subject: "s"}}]}
`, `
- {pattern: "*:*", validator: cosign, with: {annotations: {team: blue}, trustRoot: any, verifySCT: false}}
`)
	got := call(t, "explain", "--config", path, "nginx")
	wantText(t, "the output", got.out, `
With:       annotations:
              team: blue
            trustRoot: any
            verifySCT: false
`)
}

func TestExplainWithoutARuleThatApplies(t *testing.T) {
	t.Parallel()
	path := policyFile(t, allowAndDeny, `[{pattern: "ghcr.io/*:*", validator: allow}]`)
	got := call(t, "explain", "--config", path, "nginx")
	if got.code != exitDenied {
		t.Errorf("code %d", got.code)
	}
	wantText(t, "the output", got.out, "No rule of the policy matches", "NoMatchingRule")
	for _, args := range [][]string{{}, {"a", "b"}, {"not an image"}} {
		if got := call(t, append([]string{"explain", "--config", path}, args...)...); got.code != exitError {
			t.Errorf("%q: code %d", args, got.code)
		}
	}
}

func TestExplainWritesJSON(t *testing.T) {
	t.Parallel()
	path := policyFile(t, allowAndDeny, `[{pattern: "*:*", validator: deny}, {pattern: "nginx", validator: allow, namespaces: [default]}]`)
	got := call(t, "explain", "--config", path, "-o", "json", "nginx")
	var e map[string]any
	if err := json.Unmarshal([]byte(got.out), &e); err != nil {
		t.Fatalf("%v\n%s", err, got.out)
	}
	want := map[string]any{
		"image": "nginx", "canonical": "docker.io/library/nginx:latest", "namespace": "default",
		"rule": map[string]any{
			"index": 1., "pattern": "nginx", "canonicalPattern": "docker.io/library/nginx", "namespaces": []any{"default"}, "mode": "mutate",
			"validator": map[string]any{"name": "allow", "type": "static", "approve": true},
			"because":   "its pattern has more components (3 against 2)",
		},
		"others": []any{map[string]any{
			"index": 0., "pattern": "*:*", "canonicalPattern": "*/*:*", "mode": "mutate",
			"validator": map[string]any{"name": "deny", "type": "static", "approve": false},
		}},
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
}
