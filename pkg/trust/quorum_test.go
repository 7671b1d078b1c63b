package trust_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func roots(names ...string) []trust.Root {
	all := make([]trust.Root, len(names))
	for i, name := range names {
		all[i] = trust.Root{Name: name, Keys: []trust.Key{{ID: "id of " + name}}}
	}
	return all
}

func number(n int) *int { return &n }

// TestQuorums covers the end of DESIGN §4 and row T13: a threshold counts
// distinct trust roots, and every required one must have signed.
func TestQuorums(t *testing.T) {
	t.Parallel()
	const reached = validator.Reason("")
	all := func(threshold *int, required ...string) trust.Selection {
		return trust.Selection{TrustRoot: "*", Threshold: threshold, Required: required}
	}
	for _, test := range []struct {
		name      string
		selection trust.Selection
		signed    []string
		want      validator.Reason
	}{
		{"no trust root is the one named default", trust.Selection{}, []string{"default"}, reached},
		{"no trust root is no other", trust.Selection{}, []string{"a", "b"}, validator.UntrustedSigner},
		{"a named one suffices", trust.Selection{TrustRoot: "a"}, []string{"a"}, reached},
		{"a named one is no other", trust.Selection{TrustRoot: "a"}, []string{"b", "default"}, validator.UntrustedSigner},
		{"a named one does not mind others", trust.Selection{TrustRoot: "a"}, []string{"b", "a"}, reached},
		{"nobody is not enough", trust.Selection{TrustRoot: "a"}, nil, validator.UntrustedSigner},
		{"* is all", all(nil), []string{"b", "default", "a"}, reached},
		{"* is all but none", all(nil), []string{"a", "b"}, validator.ThresholdNotReached},
		{"an empty list requires nobody, so * is all", all(nil, []string{}...), []string{"a"}, validator.ThresholdNotReached},
		{"a threshold is enough", all(number(2)), []string{"a", "b"}, reached},
		{"a threshold is any of them", all(number(2)), []string{"default", "b"}, reached},
		{"a threshold may be exceeded", all(number(2)), []string{"a", "b", "default"}, reached},
		{"a threshold of 1", all(number(1)), []string{"b"}, reached},
		{"T13: one signer who signs twice is one", all(number(2)), []string{"a", "a"}, validator.ThresholdNotReached},
		{"T13: one signer who signs often is one", all(nil), []string{"a", "a", "a", "b", "b"}, validator.ThresholdNotReached},
		{"T13: who is no trust root does not count", all(number(2)), []string{"a", "mallory", "*", ""}, validator.ThresholdNotReached},
		{"T13: strangers alone are strangers", all(number(1)), []string{"mallory", "eve"}, validator.UntrustedSigner},
		{"required ones suffice, no threshold given", all(nil, "a"), []string{"a"}, reached},
		{"required ones must all have signed", all(nil, "a", "b"), []string{"a"}, validator.MissingRequired},
		{"others do not replace a required one", all(nil, "a"), []string{"b", "default"}, validator.MissingRequired},
		{"T13: nor do they twice", all(number(1), "a", "b"), []string{"a", "a"}, validator.MissingRequired},
		{"a threshold below the required ones lowers nothing", all(number(1), "a", "b"), []string{"a"}, validator.MissingRequired},
		{"required ones count for the threshold", all(number(2), "a"), []string{"a", "b"}, reached},
		{"required ones alone do not reach a higher threshold", all(number(2), "a"), []string{"a"}, validator.ThresholdNotReached},
		{"T13: required ones twice neither", all(number(2), "a"), []string{"a", "a"}, validator.ThresholdNotReached},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			quorum, errs := test.selection.Select("policy[0].with", roots("default", "a", "b"))
			if errs != nil {
				t.Fatal(errs)
			}
			got := reached
			if err := quorum.Check(test.signed); err != nil {
				got = err.Reason
				if err.Message == "" {
					t.Error("the refusal says nothing")
				}
			}
			if got != test.want {
				t.Errorf("signed by %q: %q, want %q", test.signed, got, test.want)
			}
		})
	}
}

// TestRefusalsSayWhoIsMissing: a developer can act on them.
func TestRefusalsSayWhoIsMissing(t *testing.T) {
	t.Parallel()
	quorum := trust.Quorum{Roots: roots("a", "b", "c"), Threshold: 3, Required: []string{"b", "c"}}
	for _, test := range []struct {
		signed []string
		want   []string
	}{
		{nil, []string{"it is signed, but not by", `"a"`, `"b"`, `"c"`}},
		{[]string{"a"}, []string{"it is signed by", `"a", but not by`, `"b" and "c"`, "must have signed"}},
		{[]string{"c", "b"}, []string{"it is signed by", `"b" and "c", but 3 of`, `"a", "b", "c" must have signed`}},
	} {
		err := quorum.Check(test.signed)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Message, want) {
				t.Errorf("signed by %q: %v; it does not say %s", test.signed, err, want)
			}
		}
	}
}

// TestEmptyQuorumsAreNeverReached: the zero value denies.
func TestEmptyQuorumsAreNeverReached(t *testing.T) {
	t.Parallel()
	fromNone, _ := trust.Selection{TrustRoot: "*"}.Select("with", nil)
	unknown, _ := trust.Selection{TrustRoot: "eve"}.Select("with", roots("a"))
	tooHigh, _ := trust.Selection{TrustRoot: "*", Threshold: number(9)}.Select("with", roots("a"))
	for name, quorum := range map[string]trust.Quorum{
		"zero": {}, "of no root": fromNone, "of an unknown root": unknown, "of too many": tooHigh, "without threshold": {Roots: roots("a")},
	} {
		for _, signed := range [][]string{nil, {""}, {"a"}, {"a", "eve", "*"}} {
			if quorum.Check(signed) == nil {
				t.Errorf("the quorum %s is reached by %q", name, signed)
			}
		}
	}
}

// TestSelectionErrors: DESIGN §8, key paths and suggestions, all at once.
func TestSelectionErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		selection trust.Selection
		want      []string
	}{
		{"an unknown root", trust.Selection{TrustRoot: "alcie"}, []string{`policy[3].with.trustRoot: no trust root named "alcie"; did you mean "alice"?`}},
		{"no root named default", trust.Selection{}, []string{`policy[3].with.trustRoot: no trust root named "default"; there is *, alice, bob`}},
		{"a threshold of one root", trust.Selection{TrustRoot: "bob", Threshold: number(1)}, []string{`policy[3].with.threshold: is for trustRoot: "*" only`}},
		{"required for one root", trust.Selection{TrustRoot: "bob", Required: []string{"alice"}}, []string{`policy[3].with.required: is for trustRoot: "*" only`}},
		{"both, and an unknown root", trust.Selection{TrustRoot: "bbo", Threshold: number(1), Required: []string{}}, []string{
			`policy[3].with.threshold: is for trustRoot: "*" only`, `policy[3].with.required: is for trustRoot: "*" only`,
			`policy[3].with.trustRoot: no trust root named "bbo"; did you mean "bob"?`,
		}},
		{"a threshold of 0", trust.Selection{TrustRoot: "*", Threshold: number(0)}, []string{"policy[3].with.threshold: is 0, but must be between 1 and the number of trust roots, 2"}},
		{"a negative threshold", trust.Selection{TrustRoot: "*", Threshold: number(-1)}, []string{"policy[3].with.threshold: is -1, but must be between 1 and the number of trust roots, 2"}},
		{"a threshold that cannot be reached", trust.Selection{TrustRoot: "*", Threshold: number(3)}, []string{"policy[3].with.threshold: is 3, but must be between 1 and the number of trust roots, 2"}},
		{"unknown required ones", trust.Selection{TrustRoot: "*", Required: []string{"alice", "bop", "*"}}, []string{
			`policy[3].with.required[1]: no trust root named "bop"; did you mean "bob"?`, `policy[3].with.required[2]: no trust root named "*"; there is alice, bob`,
		}},
		{"a required one twice", trust.Selection{TrustRoot: "*", Required: []string{"alice", "alice"}}, []string{`policy[3].with.required[1]: "alice" is listed twice`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, errs := test.selection.Select("policy[3].with", roots("alice", "bob"))
			var got []string
			for _, err := range errs {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnUnavailableRootCannotBeChecked(t *testing.T) {
	t.Parallel()
	all := roots("a", "b")
	all[1].Unavailable = errors.New("the API server is down")
	for root, want := range map[string]bool{"a": false, "b": true, "*": true} {
		quorum, errs := trust.Selection{TrustRoot: root}.Select("with", all)
		if errs != nil {
			t.Fatal(errs)
		}
		err := quorum.Unavailable()
		if (err != nil) != want {
			t.Errorf("%s is unavailable: %v, want %t", root, err, want)
		}
		if err != nil && (err.Reason != validator.TrustDataUnavailable || !err.Reason.Inconclusive() || !errors.Is(err, all[1].Unavailable)) {
			t.Errorf("%s: %s (%v)", root, err.Reason, err)
		}
	}
}

// TestFingerprints covers rows T3 and T35: whatever changes what a quorum
// means, the trust material's content too, changes its fingerprint.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	gone := roots("a", "b")
	gone[0].Unavailable, gone[0].Keys = errors.New("gone"), nil
	otherKey, moreKeys := roots("a", "b"), roots("a", "b")
	otherKey[0].Keys = []trust.Key{{ID: "x"}}
	moreKeys[0].Keys = append(moreKeys[0].Keys, trust.Key{ID: "x"})
	seen := map[string]string{}
	for name, quorum := range map[string]trust.Quorum{
		"zero": {}, "two roots": {Roots: roots("a", "b"), Threshold: 1}, "a threshold of 2": {Roots: roots("a", "b"), Threshold: 2},
		"a required root": {Roots: roots("a", "b"), Threshold: 1, Required: []string{"a"}}, "another": {Roots: roots("a", "b"), Threshold: 1, Required: []string{"b"}},
		"one root": {Roots: roots("a"), Threshold: 1}, "a name of both": {Roots: roots("a b"), Threshold: 1}, "a name with a quote": {Roots: roots(`a" "b`), Threshold: 1},
		"another key": {Roots: otherKey, Threshold: 1}, "one more key": {Roots: moreKeys, Threshold: 1}, "a root that is gone": {Roots: gone, Threshold: 1},
		"a required name of two": {Threshold: 1, Required: []string{"a b"}}, "two required names": {Threshold: 1, Required: []string{"a", "b"}},
	} {
		if same, ok := seen[quorum.Fingerprint()]; ok {
			t.Errorf("%s and %s have the same fingerprint", name, same)
		}
		seen[quorum.Fingerprint()] = name
	}
}
