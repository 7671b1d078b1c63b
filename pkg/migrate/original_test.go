package migrate

import (
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

func TestTheOriginalsPatterns(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		pattern, reference string
		want               bool
	}{
		{"redis", "redis", true},
		{"redis", "quay.io/x/my-redis-y:1", true},
		{"redis", "quay.io/x:redis", true},
		{"redis:*", "redis@" + digest, false},
		{"library/*:*", "redis@" + digest, true},
		{"docker.io/redis:*", "redis", false},
		{"docker.io/library/redis", "redis:7", true},
		{"index.docker.io/library/redis", "redis:7", true},
		{"registry.k8s.io/*:*", "evil.example/registry.k8s.io/x:1", true},
		{"registry.k8s.io/*:*", "evilregistry.k8s.io/x:1", true},
		{"GHCR.io/a", "ghcr.io/a", true},
		{"myorg/app:v1", "myorg/app:v12", true},
		{"myorg/app:v1", "myorg/app:v1@" + digest, true},
		{"a.io/?x", "a.io/yx:1", true},
		{"a.io?b", "a.io/b:1", true},
		{"a.io/[ab]x", "a.io/bx:1", true},
		{"a.io/[!ab]x", "a.io/bx:1", false},
		{"a.io/{b,c/d}:1", "a.io/c/d:1", true},
		{`a.io/\*`, "a.io/b:1", false},
		{"*", "a.io/b:1", true},
	} {
		m, err := newMatcher(row.pattern)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := image.Parse(row.reference)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.match(spelled(ref)); got != row.want {
			t.Errorf("%q matches %s: %t", row.pattern, row.reference, got)
		}
	}
	if m, err := newMatcher("a[b-a]"); err == nil {
		t.Errorf("a range that is none is %v", m.expr)
	}
}

func TestTheOriginalsPrecedence(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		reference string
		patterns  []string
		want      int
	}{
		"no rule":                              {"a.io/b:1", []string{"c.io"}, -1},
		"more components":                      {"a.io/b:1", []string{"a.io", "*/*", "*:*"}, 1},
		"a longer prefix in common":            {"a.io/b:1", []string{"a*/*", "a.io/*", "*b/*:1"}, 1},
		"longer components":                    {"a.io/b:1", []string{"*", "*:*", "b:1"}, 2},
		"Docker Hub has no prefix in common":   {"b:1", []string{"docker.io/library/*", "*/library/b"}, 1},
		"the last of equals":                   {"a.io/b:1", []string{"*:*", "*:*"}, 1},
		"a component that the reference lacks": {"a.io/b:1", []string{"{a.io/b,c/d}/x", "*"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rules []*rule
			for _, pattern := range row.patterns {
				m, err := newMatcher(pattern)
				if err != nil {
					t.Fatal(err)
				}
				rules = append(rules, &rule{original: pattern, matches: m})
			}
			ref, err := image.Parse(row.reference)
			if err != nil {
				t.Fatal(err)
			}
			got := choose(rules, spelled(ref))
			if row.want < 0 && got != nil || row.want >= 0 && got != rules[row.want] {
				t.Errorf("got %+v", got)
			}
		})
	}
}
