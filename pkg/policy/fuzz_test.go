package policy_test

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

// FuzzMatch holds for any pattern and any image (T1, T25, T31, T32).
func FuzzMatch(f *testing.F) {
	for _, seed := range [][3]string{
		{"registry.k8s.io/*:*", "evil.io/registry.k8s.io/pause:1", "default"},
		{"registry.k8s.io/*:*", "evilregistry.k8s.io/pause:1", ""},
		{"docker.io/myorg/app", "docker.io/myorg/app-evil:1", "prod"},
		{"*", "nginx", ""}, {"*:latest", "ghcr.io/a/b", ""}, {"my*/app", "myorg/app", ""}, {"GHCR.io:443/a", "ghcr.io/a", ""},
		{"{a,b{c,d}}:v1*", "a:v1@" + digestA, ""}, {"ghcr.io:*/a", "ghcr.io/a", ""}, {`\[::1\]:5000/a?[^b]`, "[::1]:5000/abc", ""},
		{"[::1]/a", "[::1]/a", ""}, {"nginx@" + digestA, "nginx@" + digestA, ""}, {"registry:443/a", "registry/a", ""},
		{"*.example.com:443/[a-z]*", "a.example.com/x/y", ""}, {"{,}{,}{,}", "a", ""}, {"a[.-0]b", "a/b", ""}, {`\`, "a", ""},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, pattern, reference, namespace string) {
		ref, err := image.Parse(reference)
		if err != nil {
			return
		}
		rules := append(patterns("*", pattern, "*:v*", "docker.io/*", ref.Registry()+"/*:*", ref.Name()), policy.Rule{Pattern: pattern, Namespaces: []string{"p*"}})
		p, errs := policy.Compile(rules)
		if errs != nil {
			if p != nil || errs[0].Field != "pattern" || errs[0].Error() == "" {
				t.Fatalf("Compile(%q) = %v, %v", pattern, p, errs)
			}
			return
		}
		checkMatches(t, p, ref, namespace)
		checkHost(t, pattern, ref)
		checkCompiledTwice(t, pattern, ref)
	})
}

// checkMatches: Match is the first of Matches, each rule stands there at most
// once, and the tag of a reference with a digest changes nothing unseen.
func checkMatches(t *testing.T, p *policy.Policy, ref image.Reference, namespace string) {
	match, ok := p.Match(ref, namespace)
	matches := p.Matches(ref, namespace)
	if !ok || len(matches) == 0 {
		t.Fatalf("the rule for everything does not match %s", ref)
	}
	want := matches[0]
	want.Because = ""
	if diff := cmp.Diff(want, match, ignoreEntry); diff != "" {
		t.Errorf("Match is not the first of Matches for %s:\n%s", ref, diff)
	}
	seen := map[int]bool{}
	for i, m := range matches {
		if seen[m.Index] {
			t.Errorf("rule %d is listed twice", m.Index)
		}
		seen[m.Index] = true
		if (m.Because == "") != (i == len(matches)-1) {
			t.Errorf("match %d of %d is explained by %q", i+1, len(matches), m.Because)
		}
	}
	if !seen[0] || !seen[4] || !seen[5] {
		t.Errorf("a rule for everything, for the host or for the name does not match %s: %v", ref, seen)
	}
	if ref.Digest() != "" && !match.ByTag {
		if bare, _ := p.Match(ref.WithoutTag(), namespace); bare.Index != match.Index {
			t.Errorf("T31: the tag of %s makes rule %d apply instead of %d, unseen", ref, match.Index, bare.Index)
		}
	}
}

// checkHost: T1. A pattern whose host is literal matches that registry only.
func checkHost(t *testing.T, pattern string, ref image.Reference) {
	host, _, found := strings.Cut(pattern, "/")
	if !found || strings.ContainsAny(host, `*?[]\{},`) || strings.ContainsAny(pattern, "{}") {
		return
	}
	if strings.ToLower(host) == host && host != "localhost" && !strings.ContainsAny(host, ".:") {
		host = image.DefaultRegistry
	}
	if _, ok := compile(t, policy.Rule{Pattern: pattern}).Match(ref, ""); ok && image.CanonicalHost(host) != ref.Registry() {
		t.Errorf("%q matches %s of another host", pattern, ref)
	}
}

// checkCompiledTwice: the canonical pattern that messages show matches the
// same, or it is one that messages alone show.
func checkCompiledTwice(t *testing.T, pattern string, ref image.Reference) {
	match, ok := compile(t, policy.Rule{Pattern: pattern}).Match(ref, "")
	if !ok {
		return
	}
	again, ok := compile(t, policy.Rule{Pattern: match.Pattern}).Match(ref, "")
	if !ok || again.Pattern != match.Pattern || again.ByTag != match.ByTag {
		t.Errorf("%q matches %s as %+v, whose pattern matches as %+v", pattern, ref, match, again)
	}
}

// FuzzLiteral: a pattern that is a name matches just that repository, by
// whatever spelling either has (T1, T32).
func FuzzLiteral(f *testing.F) {
	for _, seed := range [][2]string{
		{"nginx", "docker.io/library/nginx:1"}, {"myorg/app", "docker.io/myorg/app-evil:1"}, {"GHCR.io/app", "ghcr.io:443/app"},
		{"registry-1.docker.io/a", "index.docker.io/a"}, {"registry:443/a", "registry/a"}, {"MyOrg/app", "myorg/app"},
		{"a.io/b", "evil.io/a.io/b"}, {"[::1]/a", "[0::1]/a"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		a, err := image.Parse(one)
		if err != nil {
			return
		}
		b, err := image.Parse(other)
		if err != nil {
			return
		}
		name := strings.NewReplacer("[", `\[`, "]", `\]`).Replace(a.Name())
		p := compile(t, policy.Rule{Pattern: name})
		if _, ok := p.Match(a, ""); !ok {
			t.Errorf("%q does not match %s", name, a)
		}
		if _, ok := p.Match(b, ""); ok != (a.Name() == b.Name()) {
			t.Errorf("%q matches %s: %t", name, b, ok)
		}
		if strings.Contains(name, `\`) {
			return
		}
		exact := compile(t, policy.Rule{Pattern: one}) // with its tag and digest
		if _, ok := exact.Match(b, ""); ok && a.Name() != b.Name() {
			t.Errorf("%q matches %s", one, b)
		}
	})
}

// FuzzGlob compares with path.Match: whatever compiles means the same there,
// but for "/", which "*" matches here, and a negated class does not.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"a*b?c", "axxbyc"}, {"[a-c]", "b"}, {"[^a-c]", "/"}, {"[^-a]", "0"}, {"[.-0]", "/"}, {`\*`, "*"}, {"[a-]", "-"}, {"[]a]", "]"},
		{"[^^]", "^"}, {"é?", "éa"}, {"a.c", "abc"}, {"(a|b)+", "a"}, {"[a-c-e]", "-"}, {"**", ""}, {"", ""}, {"\\", ""}, {"[é-ü]", "ö"}, {"a\n*", "a\nb"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.Contains(pattern, "{") {
			return // braces are expanded before
		}
		got, err := policy.MatchGlob(pattern, s)
		if err != nil {
			return
		}
		want, err := path.Match(pattern, s)
		if err != nil {
			t.Fatalf("%q compiles here, but path.Match says %v", pattern, err)
		}
		if want != got && !strings.Contains(s, "/") {
			t.Errorf("%q matches %q: %t, but %t by path.Match", pattern, s, got, want)
		}
		if got && strings.Count(s, "/") > strings.Count(pattern, "/") && !strings.Contains(pattern, "*") {
			t.Errorf("%q matches %q, which has more slashes", pattern, s)
		}
	})
}
