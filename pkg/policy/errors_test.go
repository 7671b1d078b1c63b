package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

// TestBadRulesAreErrors covers row T25: what cannot be compiled rejects the
// configuration, by an error that says what to do, and never panics.
func TestBadRulesAreErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, pattern, want string }{
		{"nothing", "", `is empty; "*:*" matches every image`},
		{"a tag alone", ":v1", "names no image"},
		{"a digest alone", "@" + digestA, "names no image"},
		{"an empty tag", "nginx:", `write ":*" for any tag`},
		{"a digest that is none", "nginx@sha256:abc", "is not a digest"},
		{"a digest in upper case", "nginx@sha256:" + strings.Repeat("A", 64), "is not a digest"},
		{"a digest with a wildcard", "nginx@sha256:*", "is not a digest"},
		{"an empty digest", "nginx@", "is not a digest"},
		{"two digests", "nginx@" + digestA + "@" + digestA, "is not a digest"},
		{"an open class", "ghcr.io/a[b", `"[" is not closed`},
		{"an empty class", "ghcr.io/a[]b", "is not a character class"},
		{"an empty negated class", "ghcr.io/a[^]b", "is not a character class"},
		{"a class in a class", "ghcr.io/a[[b]", "is not a character class"},
		{"a range that is upside down", "ghcr.io/a[z-a]", "cannot compile"},
		{"a range that has no end", "ghcr.io/a[a-]", "is not a character class"},
		{"a range that has no start", "ghcr.io/a[^-a]", "is not a character class"},
		{"a range that includes the slash", "ghcr.io/a[.-9]b", `includes "/"`},
		{"an exclamation mark, which negates elsewhere", "ghcr.io/a[!b]", "no repository is like"},
		{"an open brace", "ghcr.io/{a,b", `"{" is not closed`},
		{"a closing brace", "ghcr.io/a}", `"}" without "{"`},
		{"an open brace in braces", "ghcr.io/{a,{b}", `"{" is not closed`},
		{"more alternatives than anyone needs", strings.Repeat("{a,b}", 9), "more than 256"},
		{"no more than empty alternatives", strings.Repeat("{,}", 300), "more than 256"},
		{"a trailing backslash", `ghcr.io/a\`, "escapes nothing"},
		{"a pattern that is too long", strings.Repeat("a", image.MaxLength+1), "longer than 1024"},
		{"an empty component", "ghcr.io//app", "empty component"},
		{"an empty component further on", "ghcr.io/org//app", "empty component"},
		{"a slash at the end", "ghcr.io/", "empty component"},
		{"a slash at the beginning", "/app", "empty component"},
		{"a slash alone", "/", "empty component"},
		{"a scheme", "https://ghcr.io/app", "empty component"},
		{"a repository in upper case", "ghcr.io/MyOrg/app", "can match no image"},
		{"a repository in upper case, with a wildcard", "ghcr.io/MyOrg/*", "can match no image"},
		{"a blank", "ghcr.io/org/ app", "can match no image"},
		{"a blank at the end", "ghcr.io/org/app:* ", "can match no image"},
		{"a newline", "ghcr.io/org/*\n", "can match no image"},
		{"text that is not UTF-8", "ghcr.io/*\xff", "can match no image"},
		{"letters of other scripts", "ghcr.io/оrg/*", "can match no image"}, // a Cyrillic о
		{"a regular expression", "ghcr.io/org/.+", "can match no image"},
		{"another regular expression", "^ghcr.io/(a|b)$", "can match no image"},
		{"two tags", "ghcr.io/org:a/app:b", "can match no image"},
		{"a host that is none", "ghcr_io.example/*", "can match no image"},
		{"a tag that is none", "ghcr.io/app:v+1", "can match no image"},
		{"an IPv6 address without escapes", "[::1]:5000/app", `must be escaped, or they list characters: "\\[::1\\]:5000"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, errs := policy.Compile(patterns("*:*", test.pattern))
			if p != nil || len(errs) != 1 {
				t.Fatalf("Compile(%q) gave %v", test.pattern, errs)
			}
			if errs[0].Index != 1 || errs[0].Field != "pattern" || !strings.HasPrefix(errs[0].Error(), "policy[1].pattern: ") {
				t.Errorf("the error does not name the key: %v", errs[0])
			}
			if !strings.Contains(errs[0].Error(), test.want) {
				t.Errorf("the error does not say %q: %v", test.want, errs[0])
			}
		})
	}
}

func TestAnAmbiguousFirstComponentIsAnErrorThatProposesBothReadings(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"my*/app", "?y/app", "[a-z]y/app", "**/app", `my\org/app`, "[A-Z]y/app", "{my,your}*/app"} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			_, errs := policy.Compile(patterns(pattern))
			if len(errs) != 1 {
				t.Fatalf("errors: %v", errs)
			}
			first := strings.TrimSuffix(strings.ReplaceAll(pattern, "{my,your}", "my"), "/app")
			for _, reading := range []string{"docker.io/" + first + "/app", first + ".example.com/app"} {
				if !strings.Contains(errs[0].Error(), fmt.Sprintf("%q", reading)) {
					t.Errorf("the error does not propose %s: %v", reading, errs[0])
				}
				if _, errs := policy.Compile(patterns(reading)); errs != nil && !strings.Contains(pattern, "[A-Z]") {
					t.Errorf("what it proposes is refused: %v", errs)
				}
			}
		})
	}
}

func TestEveryErrorIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	p, errs := policy.Compile([]policy.Rule{
		{Pattern: "my*/app", Namespaces: []string{"prod", "", "Prod", "a/b", "a["}},
		{Pattern: "nginx:*"},
		{Pattern: "", Namespaces: []string{"{a"}},
	})
	if p != nil {
		t.Error("a policy was compiled")
	}
	var keys []string
	for _, err := range errs {
		keys = append(keys, strings.SplitN(err.Error(), ": ", 2)[0])
		if errors.Unwrap(err) == nil {
			t.Errorf("%v has no cause", err)
		}
	}
	want := []string{"policy[0].pattern", "policy[0].namespaces[1]", "policy[0].namespaces[2]", "policy[0].namespaces[3]",
		"policy[0].namespaces[4]", "policy[2].pattern", "policy[2].namespaces[0]"}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}
