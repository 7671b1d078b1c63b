package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func parse(t testing.TB, s string) image.Reference {
	t.Helper()
	ref, err := image.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func compile(t testing.TB, rules ...policy.Rule) *policy.Policy {
	t.Helper()
	p, errs := policy.Compile(rules)
	for _, err := range errs {
		t.Error(err)
	}
	if errs != nil {
		t.FailNow()
	}
	return p
}

func patterns(texts ...string) []policy.Rule {
	rules := make([]policy.Rule, len(texts))
	for i, text := range texts {
		rules[i].Pattern = text
	}
	return rules
}

// TestMatching covers the matching half of DESIGN §4, one pattern and one
// image a row. Rows T1 and T32 of THREATS.md are among them.
func TestMatching(t *testing.T) {
	t.Parallel()
	const matches, differs = true, false
	for _, test := range []struct {
		name, pattern, image string
		want                 bool
	}{
		{"T1: an allow rule for a registry matches it", "registry.k8s.io/*:*", "registry.k8s.io/pause:1", matches},
		{"T1: a registry's name in a path is not that registry", "registry.k8s.io/*:*", "evil.io/registry.k8s.io/pause:1", differs},
		{"T1: nothing may stand before a host", "registry.k8s.io/*:*", "evilregistry.k8s.io/pause:1", differs},
		{"T1: no subdomain belongs to a host", "registry.k8s.io/*:*", "evil.registry.k8s.io/pause:1", differs},
		{"T1: nothing may stand behind a host", "registry.k8s.io/*:*", "registry.k8s.io.evil.io/pause:1", differs},
		{"T1: another port is another host", "registry.k8s.io/*:*", "registry.k8s.io:5000/pause:1", differs},
		{"T1: a dot is a dot", "registry.k8s.io/*:*", "registry-k8s.io/pause:1", differs},
		{"T1: a Docker Hub organisation is not a host", "registry.k8s.io/*:*", "docker.io/registry.k8s.io/pause:1", differs},
		{"T1: nothing may stand behind a repository", "docker.io/myorg/app", "docker.io/myorg/app-evil:1", differs},
		{"T1: nothing may stand below a repository", "docker.io/myorg/app", "docker.io/myorg/app/evil:1", differs},
		{"T1: nothing may stand before a path", "docker.io/myorg/app", "docker.io/evil/myorg/app:1", differs},
		{"T1: a repository does not match on another host", "docker.io/myorg/app", "evil.io/myorg/app", differs},
		{"T1: a tag cannot pass for a path", "docker.io/myorg/app:v1", "docker.io/myorg/app/v1", differs},
		{"T1: a wildcard behind an organisation needs the slash", "docker.io/myorg/*:*", "docker.io/myorgevil/app:1", differs},
		{"T1: a dot in a path is a dot", "docker.io/my.org/app", "docker.io/my-org/app", differs},

		{"* matches every image", "*", "evil.io/a/b/c:v1@" + digestA, matches},
		{"* matches every image of Docker Hub", "*", "nginx", matches},
		{"*:* matches every image", "*:*", "localhost:5000/a", matches},
		{"*:* matches an image by digest alone", "*:*", "ghcr.io/a/b@" + digestA, matches},
		{"*:latest means any host and path", "*:latest", "ghcr.io/org/team/app", matches},
		{"*:latest needs the tag latest", "*:latest", "ghcr.io/org/app:v1", differs},
		{"*/*:latest is the same", "*/*:latest", "ghcr.io/org/team/app", matches},
		{"*-evil means any host and path", "*-evil:*", "ghcr.io/org/app-evil:1", matches},
		{"?ginx means any host", "?ginx:*", "ghcr.io/nginx:1", matches},
		{"[mn]ginx means any host", "[mn]ginx:*", "ghcr.io/nginx:1", matches},
		{"? is one character of a whole path", "?ginx:*", "ghcr.io/a/nginx:1", differs},
		{"*@digest matches that digest anywhere", "*@" + digestA, "ghcr.io/a@" + digestA, matches},

		{"nginx is docker.io/library/nginx", "nginx:*", "docker.io/library/nginx:1", matches},
		{"nginx is not another organisation's", "nginx:*", "docker.io/evil/nginx:1", differs},
		{"nginx is not another host's", "nginx:*", "ghcr.io/library/nginx:1", differs},
		{"myorg/app is docker.io/myorg/app", "myorg/app", "docker.io/myorg/app:1", matches},
		{"docker.io/nginx is docker.io/library/nginx", "docker.io/nginx", "nginx:1", matches},
		{"an escaped character is no wildcard of hosts", `\nginx`, "nginx", matches},
		{"an escaped character is Docker Hub's as well", `\nginx`, "ghcr.io/nginx", differs},
		{"a repository that is called like localhost", "localhost:*", "docker.io/library/localhost:1", matches},
		{"localhost is a host", "localhost/app", "localhost/app:1", matches},

		{"T32: a pattern in upper case is its canonical host", "GHCR.io/org/*:*", "ghcr.io/org/app:1", matches},
		{"T32: a reference in upper case is its canonical host", "ghcr.io/org/*:*", "GHCR.io/org/app:1", matches},
		{"T32: a pattern with the default port", "ghcr.io:443/org/*:*", "ghcr.io/org/app:1", matches},
		{"T32: a reference with the default port", "ghcr.io/org/*:*", "ghcr.io:443/org/app:1", matches},
		{"T32: a reference with zeros before the port", "ghcr.io/org/*:*", "ghcr.io:0443/org/app:1", matches},
		{"T32: a pattern for registry-1.docker.io", "registry-1.docker.io/myorg/*:*", "myorg/app:1", matches},
		{"T32: a reference to registry-1.docker.io", "docker.io/myorg/*:*", "registry-1.docker.io/myorg/app:1", matches},
		{"T32: a pattern for index.docker.io", "index.docker.io/myorg/*:*", "docker.io/myorg/app:1", matches},
		{"T32: a reference to index.docker.io", "myorg/*:*", "index.docker.io:443/myorg/app:1", matches},
		{"T32: a pattern for INDEX.docker.io and one component", "INDEX.docker.io/nginx", "nginx:1", matches},
		{"T32: a wildcard host in upper case", "*.GHCR.io/app", "eu.ghcr.io/app", matches},
		{"T32: a host of one label in upper case", "registry:443/app", "REGISTRY/app", matches},
		{"T32: a host of one label is no organisation", "registry:443/app", "registry/app", differs},
		{"T32: an organisation is no host of one label", "registry/app", "registry:443/app", differs},
		{"T32: any port is the default port too", "ghcr.io:*/app", "ghcr.io/app", matches},
		{"T32: any port is another port", "ghcr.io:*/app", "ghcr.io:5000/app", matches},
		{"T32: any port of localhost", "localhost:*/*", "localhost/app", matches},
		{"T32: a class of ports that holds the default port", "ghcr.io:44[0-9]/app", "GHCR.io:443/app", matches},
		{"T32: a wildcard host with the default port", "*.ghcr.io:443/app", "eu.ghcr.io/app", matches},
		{"T32: a wildcard host with the default port has no other", "*.ghcr.io:443/app", "eu.ghcr.io:5000/app", differs},
		{"T32: any host with the default port has no other", "*:443/app", "evil.io:5000/app", differs},
		{"T32: any host and port", "*:*/app", "evil.io:5000/app", matches},
		{"T32: an IPv6 address with escaped brackets", `\[::1\]:5000/app`, "[0:0::1]:5000/app", matches},

		{"* in a host does not cross a slash", "*.example.com/app", "evil.io/x.example.com/app", differs},
		{"* as a host does not cross a slash", "*/app", "ghcr.io/org/app", differs},
		{"* as a host is any host", "*/app", "ghcr.io:5000/app", matches},
		{"* in a host is several labels", "*.example.com/app", "a.b.example.com/app", matches},
		{"* in a host needs what stands around it", "*.example.com/app", "example.com/app", differs},
		{"? in a host is one character", "r?.example.com/app", "r1.example.com/app", matches},
		{"? in a host is not two", "r?.example.com/app", "r12.example.com/app", differs},
		{"a class in a host", "r[1-3].example.com/app", "r2.example.com/app", matches},
		{"* in a path crosses slashes", "docker.io/myorg/*:*", "docker.io/myorg/a/b:1", matches},
		{"* at the end of a literal crosses slashes too", "docker.io/myorg/a*", "docker.io/myorg/a/b:1", matches},
		{"* in the middle of a path", "ghcr.io/org/*/app", "ghcr.io/org/a/b/app", matches},
		{"* needs the slashes around it", "ghcr.io/org/*/app", "ghcr.io/org/app", differs},
		{"docker.io/* is all of Docker Hub", "docker.io/*:*", "docker.io/myorg/app:1", matches},
		{"? in a path is no slash", "ghcr.io/a?b", "ghcr.io/a/b", differs},
		{"? in a path is a character", "ghcr.io/a?b", "ghcr.io/a-b", matches},
		{"a class in a path", "ghcr.io/app[0-9]", "ghcr.io/app7", matches},
		{"a class in a path is anchored", "ghcr.io/app[0-9]", "ghcr.io/app77", differs},
		{"a negated class in a path is no slash", "ghcr.io/a[^x]b", "ghcr.io/a/b", differs},
		{"a negated class in a path", "ghcr.io/a[^x]b", "ghcr.io/a1b", matches},
		{"an escaped character in a path", `ghcr.io/\app`, "ghcr.io/app", matches},
		{"braces in a path, the first", "ghcr.io/{org,team}/app", "ghcr.io/org/app", matches},
		{"braces in a path, the second", "ghcr.io/{org,team}/app", "ghcr.io/team/app", matches},
		{"braces in a path, neither", "ghcr.io/{org,team}/app", "ghcr.io/evil/app", differs},
		{"braces around hosts", "{ghcr.io,quay.io}/org/*", "quay.io/org/app", matches},
		{"braces around whole names", "{nginx,ghcr.io/org/app}:*", "ghcr.io/org/app:1", matches},
		{"braces in braces", "ghcr.io/{a,b{c,d}}", "ghcr.io/bd", matches},
		{"braces in braces take their prefix along", "ghcr.io/{a,b{c,d}}", "ghcr.io/d", differs},
		{"braces with nothing", "ghcr.io/app{,-debug}", "ghcr.io/app", matches},
		{"braces around tags", "nginx:{1,2}", "nginx:2", matches},
		{"braces with a wildcard", "ghcr.io/{a*,b}/x", "ghcr.io/abc/x", matches},

		{"no tag in the pattern is any tag", "ghcr.io/org/app", "ghcr.io/org/app:v1", matches},
		{"no tag in the pattern is any digest", "ghcr.io/org/app", "ghcr.io/org/app@" + digestA, matches},
		{"no tag in the pattern is both", "ghcr.io/org/app", "ghcr.io/org/app:v1@" + digestA, matches},
		{":* matches any tag", "ghcr.io/org/app:*", "ghcr.io/org/app:v1", matches},
		{":* matches a digest alone", "ghcr.io/org/app:*", "ghcr.io/org/app@" + digestA, matches},
		{":* matches both", "ghcr.io/org/app:*", "ghcr.io/org/app:v1@" + digestA, matches},
		{":v1* matches such a tag", "ghcr.io/org/app:v1*", "ghcr.io/org/app:v1.2", matches},
		{":v1* matches v1", "ghcr.io/org/app:v1*", "ghcr.io/org/app:v1", matches},
		{":v1* does not match another tag", "ghcr.io/org/app:v1*", "ghcr.io/org/app:v2", differs},
		{":v1* does not match a digest alone", "ghcr.io/org/app:v1*", "ghcr.io/org/app@" + digestA, differs},
		{":v1 is anchored", "ghcr.io/org/app:v1", "ghcr.io/org/app:v10", differs},
		{"T31: :v1* matches the claim beside a digest", "ghcr.io/org/app:v1*", "ghcr.io/org/app:v1@" + digestA, matches},
		{":latest is no tag", "ghcr.io/org/app:latest", "ghcr.io/org/app", matches},
		{":latest is not a digest alone", "ghcr.io/org/app:latest", "ghcr.io/org/app@" + digestA, differs},
		{"a tag is told from its case", "ghcr.io/org/app:V1", "ghcr.io/org/app:v1", differs},
		{"a port is no tag", "localhost:5000/app", "localhost:5000/app:v1", matches},
		{"a digest needs that digest", "ghcr.io/org/app@" + digestA, "ghcr.io/org/app@" + digestA, matches},
		{"a digest beside any tag", "ghcr.io/org/app@" + digestA, "ghcr.io/org/app:v1@" + digestA, matches},
		{"a digest is no other digest", "ghcr.io/org/app@" + digestA, "ghcr.io/org/app@" + digestB, differs},
		{"a digest is no tag", "ghcr.io/org/app@" + digestA, "ghcr.io/org/app:v1", differs},
		{"a tag and a digest need both", "ghcr.io/org/app:v1@" + digestA, "ghcr.io/org/app:v2@" + digestA, differs},
		{"a tag and a digest match both", "ghcr.io/org/app:v1@" + digestA, "ghcr.io/org/app:v1@" + digestA, matches},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, policy.Rule{Pattern: test.pattern})
			if _, got := p.Match(parse(t, test.image), "default"); got != test.want {
				t.Errorf("%s matches %s: %t, want %t", test.pattern, test.image, got, test.want)
			}
			if got := len(p.Matches(parse(t, test.image), "default")) > 0; got != test.want {
				t.Errorf("%s is among those that match %s: %t, want %t", test.pattern, test.image, got, test.want)
			}
		})
	}
}

func TestNothingMatchesWithoutRules(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*policy.Policy{"the zero policy": {}, "an empty policy": compile(t)} {
		if match, ok := p.Match(parse(t, "nginx"), "default"); ok {
			t.Errorf("%s matches by %+v", name, match)
		}
		if matches := p.Matches(parse(t, "nginx"), "default"); len(matches) != 0 {
			t.Errorf("%s matches by %+v", name, matches)
		}
		if match, ok := p.Match(image.Reference{}, ""); ok {
			t.Errorf("%s matches nothing by %+v", name, match)
		}
	}
}

// TestByTag covers row T31: whoever applies a rule is told that it matched by
// a tag, which is only a claim beside a digest.
func TestByTag(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, pattern, image string
		want                 bool
	}{
		{"T31: a tag is one", "ghcr.io/app:lenient", "ghcr.io/app:lenient@" + digestA, true},
		{"T31: a tag with a wildcard is one", "ghcr.io/app:len*", "ghcr.io/app:lenient@" + digestA, true},
		{"T31: any tag of one character is one", "ghcr.io/app:?", "ghcr.io/app:x@" + digestA, true},
		{"T31: a class of tags is one", "ghcr.io/app:[x]", "ghcr.io/app:x@" + digestA, true},
		{"T31: an alternative is one", "ghcr.io/app:{x,y}", "ghcr.io/app:y@" + digestA, true},
		{"T31: a tag for any image is one", "*:lenient", "ghcr.io/app:lenient@" + digestA, true},
		{"T31: a tag beside a digest is one", "ghcr.io/app:lenient@" + digestA, "ghcr.io/app:lenient@" + digestA, true},
		{":* is none", "ghcr.io/app:*", "ghcr.io/app:lenient@" + digestA, false},
		{"no tag is none", "ghcr.io/app", "ghcr.io/app:lenient@" + digestA, false},
		{"a digest is none", "ghcr.io/app@" + digestA, "ghcr.io/app:lenient@" + digestA, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			match, ok := compile(t, policy.Rule{Pattern: test.pattern}).Match(parse(t, test.image), "")
			if !ok || match.ByTag != test.want {
				t.Errorf("Match = %+v, %t; want ByTag %t", match, ok, test.want)
			}
		})
	}
}

// TestATagNeverMakesAnotherRuleApplyUnseen covers row T31: if the tag beside a
// digest changes which rule applies, then ByTag says so.
func TestATagNeverMakesAnotherRuleApplyUnseen(t *testing.T) {
	t.Parallel()
	p := compile(t, patterns("ghcr.io/org/app", "ghcr.io/org/app:*", "ghcr.io/org/app:v1*", "ghcr.io/org/*:lenient", "*:lenient", "*",
		"ghcr.io/org/app@"+digestB, "ghcr.io/*/app:{v2,*}", "ghcr.io/org/ap?")...)
	for _, digest := range []string{digestA, digestB} {
		bare, ok := p.Match(parse(t, "ghcr.io/org/app@"+digest), "")
		if !ok || bare.ByTag {
			t.Fatalf("without a tag: %+v, %t", bare, ok)
		}
		for _, tag := range []string{"v1", "v1.2", "v2", "lenient", "latest", "x"} {
			match, ok := p.Match(parse(t, "ghcr.io/org/app:"+tag+"@"+digest), "")
			if !ok || !match.ByTag && match.Index != bare.Index {
				t.Errorf("the tag %s makes rule %d apply instead of %d, unseen", tag, match.Index, bare.Index)
			}
		}
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		namespaces []string
		namespace  string
		want       bool
	}{
		{"no list is every namespace", nil, "prod", true},
		{"no list is no namespace too", nil, "", true},
		{"a name is that namespace", []string{"prod"}, "prod", true},
		{"a name is anchored in front", []string{"prod"}, "preprod", false},
		{"a name is anchored behind", []string{"prod"}, "prod-evil", false},
		{"a name is not no namespace", []string{"prod"}, "", false},
		{"one of several suffices", []string{"dev", "prod"}, "prod", true},
		{"a glob is a glob", []string{"prod-*"}, "prod-eu", true},
		{"a glob is anchored", []string{"prod-*"}, "evil-prod-eu", false},
		{"* is every namespace", []string{"*"}, "prod", true},
		{"? is one character", []string{"prod?"}, "prod1", true},
		{"a class", []string{"prod[12]"}, "prod3", false},
		{"braces, the second", []string{"{dev,prod}"}, "prod", true},
		{"braces, neither", []string{"{dev,prod}"}, "test", false},
		{"braces in a glob", []string{"{dev,prod}-*"}, "prod-eu", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := compile(t, policy.Rule{Pattern: "*", Namespaces: test.namespaces})
			if _, got := p.Match(parse(t, "nginx"), test.namespace); got != test.want {
				t.Errorf("a rule for %q applies in %q: %t, want %t", test.namespaces, test.namespace, got, test.want)
			}
		})
	}
}

func TestShadowed(t *testing.T) {
	t.Parallel()
	rule := func(pattern string, namespaces ...string) policy.Rule {
		return policy.Rule{Pattern: pattern, Namespaces: namespaces}
	}
	got := policy.Shadowed([]policy.Rule{
		rule("nginx:*"),
		rule("docker.io/library/nginx:*"),    // 1: the same, spelled out
		rule("registry-1.docker.io/nginx:*"), // 2: T32
		rule("nginx"),                        // another pattern
		rule("nginx:*", "prod"),              // for a namespace
		rule("nginx:*", "prod", "dev"),
		rule("nginx:*", "dev", "prod"), // 6: in another order
		rule("nginx:{*,*}"),            // alternatives are not compared
		rule("my*/app"),                // an error elsewhere
	})
	if diff := cmp.Diff(map[int]int{1: 0, 2: 0, 6: 5}, got); diff != "" {
		t.Errorf("Shadowed (-want +got):\n%s", diff)
	}
}

var ignoreEntry = cmpopts.IgnoreUnexported(policy.Match{})
