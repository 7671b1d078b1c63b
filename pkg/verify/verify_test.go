package verify_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

var (
	digestA = image.Digest("sha256:" + strings.Repeat("a", 64))
	digestB = image.Digest("sha256:" + strings.Repeat("b", 64))
)

// fake validates and resolves as told.
type fake struct {
	validate func(context.Context, image.Reference) (validator.Result, error)
	resolve  func(context.Context, image.Reference) (image.Digest, error)

	mu    sync.Mutex
	asked []string
	as    []validator.Identity
}

func (f *fake) Fingerprint() string { return "fake" }

func (f *fake) Validate(ctx context.Context, req validator.Request) (validator.Result, error) {
	f.mu.Lock()
	f.asked, f.as = append(f.asked, req.Image.String()), append(f.as, req.Identity)
	f.mu.Unlock()
	return f.validate(ctx, req.Image)
}

func (f *fake) Resolve(ctx context.Context, req validator.Request) (image.Digest, error) {
	return f.resolve(ctx, req.Image)
}

// trusts finds every image signed.
func trusts(_ context.Context, ref image.Reference) (validator.Result, error) {
	digest := ref.Digest()
	if digest == "" {
		digest = digestA
	}
	return validator.Result{Digest: digest, TrustRoots: []string{"alice"}}, nil
}

func allows(context.Context, image.Reference) (validator.Result, error) {
	return validator.Result{Allowed: true}, nil
}

func fails(reason validator.Reason) func(context.Context, image.Reference) (validator.Result, error) {
	return func(context.Context, image.Reference) (validator.Result, error) {
		return validator.Result{}, validator.Errorf(reason, "because of the test")
	}
}

func resolvesTo(digest image.Digest, err error) func(context.Context, image.Reference) (image.Digest, error) {
	return func(context.Context, image.Reference) (image.Digest, error) { return digest, err }
}

type rule struct {
	pattern    string
	namespaces []string
	mode       verify.Mode
	*fake
}

func snapshot(t testing.TB, rules ...rule) *verify.Snapshot {
	t.Helper()
	s := &verify.Snapshot{Revision: "r1", Namespace: "connaisseur", Features: feature.Default()}
	var patterns []policy.Rule
	for i, r := range rules {
		patterns = append(patterns, policy.Rule{Pattern: r.pattern, Namespaces: r.namespaces})
		s.Rules = append(s.Rules, verify.Rule{Index: i, Pattern: r.pattern, ValidatorName: "v", Mode: r.mode, Validator: r.fake, Resolver: r.fake})
	}
	var errs []*policy.RuleError
	if s.Policy, errs = policy.Compile(patterns); errs != nil {
		t.Fatal(errs)
	}
	return s
}

// pod is a Pod with these images in its containers.
func pod(t testing.TB, images ...string) *workload.Workload {
	t.Helper()
	return extract(t, "{}", images...)
}

func extract(t testing.TB, metadata string, images ...string) *workload.Workload {
	t.Helper()
	containers := make([]string, len(images))
	for i, img := range images {
		containers[i] = fmt.Sprintf(`{"name":"c%d","image":%q}`, i, img)
	}
	w, err := workload.Builtin().Extract(schema.GroupVersionKind{Version: "v1", Kind: "Pod"},
		fmt.Appendf(nil, `{"metadata":%s,"spec":{"containers":[%s]}}`, metadata, strings.Join(containers, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// decided is what a test looks at of an image's verdict.
type decided struct {
	Image   string
	Outcome verify.Outcome
	Reason  validator.Reason
}

func summary(v *verify.Verdict) []decided {
	var all []decided
	for i := range v.Images {
		img := &v.Images[i]
		all = append(all, decided{img.Image.Reference, img.Outcome, img.Reason})
	}
	return all
}

func TestEachImageIsDecidedAbout(t *testing.T) {
	t.Parallel()
	s := snapshot(t,
		rule{pattern: "good.io/*:*", fake: &fake{validate: trusts}},
		rule{pattern: "free.io/*:*", fake: &fake{validate: allows}},
		rule{pattern: "bad.io/*:*", fake: &fake{validate: fails(validator.NoSignature)}},
		rule{pattern: "down.io/*:*", fake: &fake{validate: fails(validator.RegistryUnavailable)}},
		rule{pattern: "odd.io/*:*", fake: &fake{validate: func(context.Context, image.Reference) (validator.Result, error) {
			return validator.Result{}, fmt.Errorf("no signature found")
		}}},
		rule{pattern: "empty.io/*:*", fake: &fake{validate: func(context.Context, image.Reference) (validator.Result, error) {
			return validator.Result{}, nil
		}}},
		rule{pattern: "roots.io/*:*", fake: &fake{validate: func(context.Context, image.Reference) (validator.Result, error) {
			return validator.Result{TrustRoots: []string{"alice"}}, nil
		}}},
		rule{pattern: "nil.io/*:*", fake: &fake{validate: func(context.Context, image.Reference) (validator.Result, error) {
			return validator.Result{Digest: digestA}, (*validator.Error)(nil)
		}}},
		rule{pattern: "swapped.io/*:*", fake: &fake{validate: func(context.Context, image.Reference) (validator.Result, error) {
			return validator.Result{Digest: digestA}, nil
		}}},
		rule{pattern: "panic.io/*:*", fake: &fake{validate: func(context.Context, image.Reference) (validator.Result, error) {
			panic("boom")
		}}},
	)
	w := pod(t, "good.io/a:1", "free.io/a:1", "bad.io/a:1", "down.io/a:1", "odd.io/a:1", "empty.io/a:1", "roots.io/a:1", "nil.io/a:1",
		"swapped.io/a@"+string(digestB), "panic.io/a:1", "nobody.io/a:1", "example.org/Upper case", "")
	s.Rules[0].PullSecrets = true
	verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: w, Namespace: "prod", Identity: "me"})
	want := []decided{
		{"good.io/a:1", verify.Trusted, ""},
		{"free.io/a:1", verify.Allowed, ""},
		{"bad.io/a:1", verify.Denied, validator.NoSignature},
		{"down.io/a:1", verify.Inconclusive, validator.RegistryUnavailable},
		{"odd.io/a:1", verify.Inconclusive, validator.Internal},
		{"empty.io/a:1", verify.Inconclusive, validator.Internal},
		{"roots.io/a:1", verify.Inconclusive, validator.Internal},
		{"nil.io/a:1", verify.Inconclusive, validator.Internal},
		{"swapped.io/a@" + string(digestB), verify.Denied, validator.DigestMismatch},
		{"panic.io/a:1", verify.Inconclusive, validator.Internal},
		{"nobody.io/a:1", verify.Denied, validator.NoMatchingRule},
		{"example.org/Upper case", verify.Denied, validator.InvalidReference},
		{"", verify.Denied, validator.InvalidReference},
	}
	if diff := cmp.Diff(want, summary(verdict)); diff != "" {
		t.Error(diff)
	}
	if got := len(verdict.Refused()); got != 11 {
		t.Errorf("want 11 refused images, got %d", got)
	}
	if verdict.Outcome() != verify.Denied || verdict.Reason() != validator.NoSignature || verdict.Revision != "r1" {
		t.Errorf("got %s, %s, %s", verdict.Outcome(), verdict.Reason(), verdict.Revision)
	}
	if diff := cmp.Diff([]validator.Identity{"me"}, s.Rules[0].Validator.(*fake).as); diff != "" {
		t.Errorf("the pull identity is lost:\n%s", diff)
	}
	if diff := cmp.Diff([]validator.Identity{""}, s.Rules[1].Validator.(*fake).as); diff != "" {
		t.Errorf("a validator that uses no pull secrets is told who asks, which splits the cache:\n%s", diff)
	}
	if cause := verdict.Images[9].Cause(); !strings.Contains(cause, "boom") || strings.Contains(verdict.Images[9].Message, "boom") {
		t.Errorf("a panic is for the log only: %q, %q", verdict.Images[9].Message, cause)
	}
}

func TestZeroValuesDeny(t *testing.T) {
	t.Parallel()
	var outcome verify.Outcome
	var img verify.ImageVerdict
	if outcome != verify.Denied || outcome.String() != "Denied" || img.Admitted() {
		t.Errorf("the zero outcome is %s", outcome)
	}
	for _, unknown := range []verify.Outcome{-1, 5, 99} {
		if v := (verify.ImageVerdict{Outcome: unknown}); v.Admitted() || unknown.String() != "Denied" {
			t.Errorf("outcome %d admits", unknown)
		}
	}
	if reference, demanded := (&verify.Verdict{Workload: pod(t, "example.org/app:1")}).Pin(&img); demanded || reference != "" || img.Pinned() {
		t.Error("the zero verdict pins")
	}
	w := pod(t, "example.org/app:1")
	for name, s := range map[string]*verify.Snapshot{
		"an empty snapshot":       {},
		"an empty policy":         {Policy: &policy.Policy{}},
		"a rule that is not here": func() *verify.Snapshot { s := snapshot(t, rule{pattern: "*:*"}); s.Rules = nil; return s }(),
		"a rule without a validator": func() *verify.Snapshot {
			s := snapshot(t, rule{pattern: "*:*"})
			s.Rules = []verify.Rule{{}}
			return s
		}(),
	} {
		verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: w})
		if len(verdict.Refused()) != 1 || verdict.Skipped != "" {
			t.Errorf("%s admits: %+v", name, summary(verdict))
		}
	}
}

// T31: a tag beside a digest chooses a rule only if it stands for that digest.
func TestT31ATagBesideADigestChoosesALenientRuleOnlyIfItStandsForTheDigest(t *testing.T) {
	t.Parallel()
	pinned := "example.org/app:lenient@" + string(digestB)
	for name, c := range map[string]struct {
		reference string
		digest    image.Digest
		err       error
		outcome   verify.Outcome
		reason    validator.Reason
		rule      int
	}{
		"the tag alone":                           {"example.org/app:lenient", "", nil, verify.Allowed, "", 1},
		"the tag stands for the digest":           {pinned, digestB, nil, verify.Allowed, "", 1},
		"the tag stands for another digest":       {pinned, digestA, nil, verify.Denied, validator.NoSignature, 0},
		"the tag stands for nothing":              {pinned, "", nil, verify.Denied, validator.NoSignature, 0},
		"there is no such tag":                    {pinned, "", validator.Errorf(validator.ImageNotFound, "no"), verify.Denied, validator.NoSignature, 0},
		"the registry is down":                    {pinned, "", validator.Errorf(validator.RegistryUnavailable, "down"), verify.Inconclusive, validator.RegistryUnavailable, 1},
		"the registry throttles":                  {pinned, digestB, validator.Errorf(validator.RegistryThrottled, "slow"), verify.Inconclusive, validator.RegistryThrottled, 1},
		"the resolver fails in an unforeseen way": {pinned, digestB, fmt.Errorf("what"), verify.Inconclusive, validator.Internal, 1},
		"another tag beside the digest":           {"example.org/app:strict@" + string(digestB), digestB, nil, verify.Denied, validator.NoSignature, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t,
				rule{pattern: "example.org/app:*", fake: &fake{validate: fails(validator.NoSignature), resolve: resolvesTo(digestB, nil)}},
				rule{pattern: "example.org/app:lenient", fake: &fake{validate: allows, resolve: resolvesTo(c.digest, c.err)}},
			)
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, c.reference), Namespace: "prod"})
			got := verdict.Images[0]
			if got.Outcome != c.outcome || got.Reason != c.reason || got.Rule == nil || got.Rule.Index != c.rule {
				t.Errorf("got %s %s by rule %v", got.Outcome, got.Reason, got.Rule)
			}
			if !verdict.Images[0].Admitted() && len(verdict.Refused()) == 0 {
				t.Error("it is not admitted, and not refused")
			}
		})
	}
	t.Run("where only tags have rules, the digest has none", func(t *testing.T) {
		t.Parallel()
		s := snapshot(t, rule{pattern: "example.org/app:lenient", fake: &fake{validate: allows, resolve: resolvesTo(digestA, nil)}})
		verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, pinned)})
		if got := verdict.Images[0]; got.Reason != validator.NoMatchingRule || got.Rule != nil {
			t.Errorf("got %s by rule %v", got.Reason, got.Rule)
		}
	})
}

// T6, T7, T12: who is exempt.
func TestExemptionsAreNarrow(t *testing.T) {
	t.Parallel()
	const deleting = `{"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["x/y"]}`
	signed, unsigned := "example.org/signed:1", "example.org/unsigned:1"
	for name, c := range map[string]struct {
		namespace string
		old, new  *workload.Workload
		skipped   string
	}{
		"our own namespace":                                     {"connaisseur", nil, pod(t, unsigned), "is where Connaisseur itself runs"},
		"an excluded namespace":                                 {"kube-system", nil, pod(t, unsigned), "is excluded by excludedNamespaces"},
		"a namespace whose name begins like one":                {"kube-system-x", nil, pod(t, unsigned), ""},
		"no namespace at all":                                   {"", nil, pod(t, unsigned), ""},
		"T33: a namespace that the object merely claims":        {"prod", nil, extract(t, `{"namespace":"kube-system"}`, unsigned), ""},
		"T12: a label that a tenant has set":                    {"prod", nil, extract(t, `{"labels":{"kubernetes.io/metadata.name":"kube-system"}}`, unsigned), ""},
		"T6: a deletion that changes no image":                  {"prod", pod(t, unsigned), extract(t, deleting, unsigned), "is being deleted"},
		"T6: a deletion that changes an image":                  {"prod", pod(t, signed), extract(t, deleting, unsigned), ""},
		"T6: a deletion that adds an image":                     {"prod", pod(t, signed), extract(t, deleting, signed, unsigned), ""},
		"T6: a new object that claims to be deleted":            {"prod", nil, extract(t, deleting, unsigned), ""},
		"T6: an object that says it is not deleted any more":    {"prod", extract(t, deleting, unsigned), pod(t, unsigned), ""},
		"T7: a workload without replicas, which can be scaled":  {"prod", nil, deployment(t, 0, unsigned), ""},
		"T7: a workload scaled down together with a new image":  {"prod", deployment(t, 3, signed), deployment(t, 0, unsigned), ""},
		"T33: an unchanged image from when it was exempt still": {"prod", pod(t, unsigned), pod(t, unsigned), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "*:*", fake: &fake{validate: fails(validator.NoSignature)}})
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: c.new, Old: c.old, Namespace: c.namespace})
			if c.skipped == "" {
				if verdict.Skipped != "" || len(verdict.Refused()) == 0 {
					t.Errorf("it was skipped: %q", verdict.Skipped)
				}
				return
			}
			if !strings.Contains(verdict.Skipped, c.skipped) || len(verdict.Refused()) != 0 || verdict.Outcome() != verify.Skipped {
				t.Errorf("got %q, %s, refused %d", verdict.Skipped, verdict.Outcome(), len(verdict.Refused()))
			}
		})
	}
}

func deployment(t testing.TB, replicas int, img string) *workload.Workload {
	t.Helper()
	w, err := workload.Builtin().Extract(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
		fmt.Appendf(nil, `{"spec":{"replicas":%d,"template":{"spec":{"containers":[{"image":%q}]}}}}`, replicas, img))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A snapshot without a namespace of its own exempts nothing that has none.
func TestTheZeroSnapshotExemptsNothing(t *testing.T) {
	t.Parallel()
	verdict := verify.Engine{}.Verify(t.Context(), &verify.Snapshot{}, verify.Request{Workload: pod(t, "a:1")})
	if verdict.Skipped != "" {
		t.Error(verdict.Skipped)
	}
}

func TestOnlyInconclusiveChecksOfUnchangedWorkloadsAreTolerated(t *testing.T) {
	t.Parallel()
	down, bad := "down.io/a:1", "bad.io/a:1"
	for name, c := range map[string]struct {
		old, new           *workload.Workload
		refused, tolerated int
	}{
		"a new workload":                                  {nil, pod(t, down), 1, 0},
		"an unchanged one":                                {pod(t, down), pod(t, down), 0, 1},
		"an unchanged one with an image less":             {pod(t, down, bad), pod(t, down), 0, 1},
		"an unchanged one in another order":               {pod(t, down, "down.io/b:1"), pod(t, "down.io/b:1", down), 0, 2},
		"one with another tag":                            {pod(t, down), pod(t, "down.io/a:2"), 1, 0},
		"one spelled in another way":                      {pod(t, down), pod(t, "down.io:443/a:1"), 1, 0},
		"one of which another image changed":              {pod(t, down), pod(t, down, "good.io/a:1"), 1, 0},
		"an unchanged one that is denied":                 {pod(t, bad), pod(t, bad), 1, 0},
		"one that moved from a container into a init one": {pod(t, down), initPod(t, down), 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t,
				rule{pattern: "good.io/*:*", fake: &fake{validate: trusts}},
				rule{pattern: "bad.io/*:*", fake: &fake{validate: fails(validator.NoSignature)}},
				rule{pattern: "down.io/*:*", fake: &fake{validate: fails(validator.RegistryUnavailable)}},
			)
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: c.new, Old: c.old, Namespace: "prod"})
			if len(verdict.Refused()) != c.refused || len(verdict.Tolerated()) != c.tolerated {
				t.Errorf("refused %d, tolerated %d: %+v", len(verdict.Refused()), len(verdict.Tolerated()), summary(verdict))
			}
		})
	}
}

func initPod(t testing.TB, img string) *workload.Workload {
	t.Helper()
	w, err := workload.Builtin().Extract(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, fmt.Appendf(nil, `{"spec":{"initContainers":[{"image":%q}]}}`, img))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAnImageInManyContainersIsVerifiedOnceAndReportedForEach(t *testing.T) {
	t.Parallel()
	f := &fake{validate: fails(validator.NoSignature)}
	s := snapshot(t, rule{pattern: "*:*", fake: f})
	verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, "a:1", "b:1", "a:1", "a:1")})
	if len(f.asked) != 2 {
		t.Errorf("verified %v", f.asked)
	}
	var fields []string
	for _, img := range verdict.Refused() {
		fields = append(fields, img.Image.Field+" "+img.Image.Reference)
	}
	want := []string{"spec.containers[0].image a:1", "spec.containers[1].image b:1", "spec.containers[2].image a:1", "spec.containers[3].image a:1"}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
}

func TestTenImagesTakeTheTimeOfOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := snapshot(t, rule{pattern: "*:*", fake: &fake{validate: func(ctx context.Context, ref image.Reference) (validator.Result, error) {
			time.Sleep(time.Second)
			return trusts(ctx, ref)
		}}})
		start := time.Now()
		verdict := verify.Engine{Now: time.Now}.Verify(t.Context(), s, verify.Request{Workload: pod(t, names(10)...)})
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %v", took)
		}
		for i := range verdict.Images {
			if img := verdict.Images[i]; img.Outcome != verify.Trusted || img.Duration != time.Second {
				t.Errorf("%s: %s after %v", img.Image.Reference, img.Outcome, img.Duration)
			}
		}
	})
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("example.org/app%d:1", i)
	}
	return all
}

// T24: when the time is up, what was found out stays, and the rest is open;
// however many images there are.
func TestT24AtTheDeadlineOpenImagesAreTimeoutAndTheOthersDecided(t *testing.T) {
	t.Parallel()
	for _, hanging := range []int{1, 9, 500} {
		t.Run(fmt.Sprint(hanging), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := snapshot(t,
					rule{pattern: "slow.io/*:*", fake: &fake{validate: func(ctx context.Context, _ image.Reference) (validator.Result, error) {
						<-ctx.Done()
						return validator.Result{}, ctx.Err()
					}}},
					rule{pattern: "good.io/*:*", fake: &fake{validate: trusts}},
					rule{pattern: "bad.io/*:*", fake: &fake{validate: fails(validator.NoSignature)}},
				)
				images := []string{"good.io/a:1", "bad.io/a:1"}
				for i := range hanging {
					images = append(images, fmt.Sprintf("slow.io/app%d:1", i))
				}
				ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
				defer cancel()
				start := time.Now()
				verdict := verify.Engine{}.Verify(ctx, s, verify.Request{Workload: pod(t, images...)})
				if took := time.Since(start); took != 9*time.Second {
					t.Errorf("it took %v", took)
				}
				got := summary(verdict)
				if got[0].Outcome != verify.Trusted || got[1].Reason != validator.NoSignature {
					t.Errorf("got %v", got[:2])
				}
				for _, img := range got[2:] {
					if img.Outcome != verify.Inconclusive || img.Reason != validator.Timeout {
						t.Errorf("got %v", img)
					}
				}
			})
		})
	}
}

func TestPinning(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reference string
		mode      verify.Mode
		validate  func(context.Context, image.Reference) (validator.Result, error)
		pin       string
		pinned    bool
	}{
		"a tag is pinned and kept":            {"nginx:1", verify.Mutate, trusts, "nginx:1@" + string(digestA), false},
		"the implied tag is spelled out":      {"nginx", "", trusts, "nginx:latest@" + string(digestA), false},
		"a digest is pinned already":          {"nginx@" + string(digestB), "", trusts, "nginx@" + string(digestB), true},
		"a rule may leave it alone":           {"nginx:1", verify.InsecureValidateOnly, trusts, "", false},
		"what is merely allowed is not":       {"nginx:1", "", allows, "", false},
		"what is denied is not":               {"nginx:1", "", fails(validator.NoSignature), "", false},
		"what could not be checked is not":    {"nginx:1", "", fails(validator.Timeout), "", false},
		"an unknown mode is not weaker":       {"nginx:1", "whatever", trusts, "nginx:1@" + string(digestA), false},
		"a host's spelling is left as it was": {"Docker.IO/nginx:1", "", trusts, "Docker.IO/nginx:1@" + string(digestA), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "*:*", mode: c.mode, fake: &fake{validate: c.validate}})
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, c.reference)})
			pin, demanded := verdict.Pin(&verdict.Images[0])
			if pin != c.pin || demanded != (c.pin != "") || verdict.Images[0].Pinned() != c.pinned {
				t.Errorf("got %q, %v, %v", pin, demanded, verdict.Images[0].Pinned())
			}
		})
	}
}

func TestADenialSaysWhichImageWhereAndWhy(t *testing.T) {
	t.Parallel()
	s := snapshot(t,
		rule{pattern: "bad.io/*:*", fake: &fake{validate: fails(validator.NoSignature)}},
		rule{pattern: "down.io/*:*", fake: &fake{validate: fails(validator.RegistryUnavailable)}})
	hostile := "bad.io/a:1\n  spec.containers[9].image good.io/a:1: fine"
	verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, "bad.io/a:1", "down.io/a:1", "none.io/a:1", hostile, strings.Repeat("a", 1<<20))})
	want := []string{
		`spec.containers[0].image bad.io/a:1: Unable to find signed digest for image bad.io/a:1: because of the test (NoSignature; rule policy[0] "bad.io/*:*", validator "v")`,
		`spec.containers[1].image down.io/a:1: could not be checked, which says nothing about the image itself: because of the test (RegistryUnavailable; rule policy[1] "down.io/*:*", validator "v")`,
		`spec.containers[2].image none.io/a:1: no rule of the policy matches none.io/a:1, so it is denied (NoMatchingRule; no rule)`,
	}
	var got []string
	for i := range verdict.Images {
		line := verdict.Images[i].String()
		if strings.Contains(line, "\n") || len(line) > 1000 {
			t.Errorf("not one line, or too long: %d bytes, %.200q", len(line), line)
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(want, got[:3]); diff != "" {
		t.Error(diff)
	}
}

func TestOutcomesAreText(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[verify.Outcome]string{verify.Denied: "Denied", verify.Inconclusive: "Inconclusive", verify.Skipped: "Skipped", verify.Allowed: "Allowed", verify.Trusted: "Trusted"} {
		if text, err := outcome.MarshalText(); err != nil || string(text) != want {
			t.Errorf("got %s, %v", text, err)
		}
	}
}
