package verify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// deploymentOf is one with these images.
func deploymentOf(t testing.TB, metadata string, images ...string) *workload.Workload {
	t.Helper()
	return template(t, "Deployment", metadata, images...)
}

func template(t testing.TB, kind, metadata string, images ...string) *workload.Workload {
	t.Helper()
	containers := make([]string, len(images))
	for i, img := range images {
		containers[i] = fmt.Sprintf(`{"name":"c%d","image":%q}`, i, img)
	}
	w, err := workload.Builtin().Extract(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind},
		fmt.Appendf(nil, `{"metadata":%s,"spec":{"template":{"spec":{"containers":[%s]}}}}`, metadata, strings.Join(containers, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func excepted(t testing.TB, pattern string, until time.Time, namespaces ...string) verify.Exception {
	t.Helper()
	compiled, errs := policy.Compile([]policy.Rule{{Pattern: pattern, Namespaces: namespaces}})
	if errs != nil {
		t.Fatal(errs)
	}
	return verify.Exception{Pattern: pattern, Compiled: compiled, Until: until, Reason: "the test"}
}

// What fails is tolerated where somebody has said so, and nowhere else.
func TestWhatIsTolerated(t *testing.T) {
	t.Parallel()
	detection := func(s *verify.Snapshot) { s.Features.DetectionMode = true }
	podsOnly := func(s *verify.Snapshot) { s.Features.ResourceValidationMode = feature.PodsOnly }
	rule0 := func(s *verify.Snapshot) { s.Rules[0].Detection = true }
	exception := func(pattern string, until time.Duration, namespaces ...string) func(*verify.Snapshot) {
		return func(s *verify.Snapshot) {
			s.Exceptions = append(s.Exceptions, excepted(t, pattern, time.Now().Add(until), namespaces...))
		}
	}
	const bad, down, other = "bad.io/app:1", "down.io/app:1", "other.io/app:1"
	for name, c := range map[string]struct {
		set       func(*verify.Snapshot)
		workload  *workload.Workload
		reference string
		want      verify.Tolerance // none if it is refused
	}{
		"nothing is":                                {func(*verify.Snapshot) {}, nil, bad, ""},
		"detection, a denial":                       {detection, nil, bad, verify.Detection},
		"detection, an outage":                      {detection, nil, down, verify.Detection},
		"detection, no rule":                        {detection, nil, other, verify.Detection},
		"detection, no reference":                   {detection, nil, "::", verify.Detection},
		"detection of the rule":                     {rule0, nil, bad, verify.Detection},
		"detection of another rule":                 {rule0, nil, down, ""},
		"detection of a rule, and no rule":          {rule0, nil, other, ""},
		"Pods only, a Pod":                          {podsOnly, nil, bad, ""},
		"Pods only, a Deployment":                   {podsOnly, deploymentOf(t, "{}", bad), bad, verify.PodsOnly},
		"an exception":                              {exception("bad.io/*:*", time.Hour), nil, bad, verify.Excepted},
		"an exception for no rule":                  {exception("other.io/*:*", time.Hour), nil, other, verify.Excepted},
		"an exception for an outage":                {exception("down.io/*:*", time.Hour), nil, down, verify.Excepted},
		"an exception that has ended":               {exception("bad.io/*:*", -time.Second), nil, bad, ""},
		"an exception for other images":             {exception("bad.io/other:*", time.Hour), nil, bad, ""},
		"an exception for this namespace":           {exception("bad.io/*:*", time.Hour, "prod"), nil, bad, verify.Excepted},
		"an exception for another namespace":        {exception("bad.io/*:*", time.Hour, "test"), nil, bad, ""},
		"an exception for another tag":              {exception("bad.io/app:2", time.Hour), nil, bad, ""},
		"an exception for this tag":                 {exception("bad.io/app:1", time.Hour), nil, bad, verify.Excepted},
		"T31: an exception for a tag, and a digest": {exception("bad.io/app:1", time.Hour), nil, bad + "@" + string(digestB), ""},
		"an exception for all tags, and a digest":   {exception("bad.io/app:*", time.Hour), nil, bad + "@" + string(digestB), verify.Excepted},
		"an exception for a digest":                 {exception("bad.io/app@"+string(digestB), time.Hour), nil, bad + "@" + string(digestB), verify.Excepted},
		"an exception that has ended, and one that holds": {func(s *verify.Snapshot) {
			exception("bad.io/*:*", -time.Hour)(s)
			exception("bad.io/*:*", time.Hour)(s)
		}, nil, bad, verify.Excepted},
		"an exception before detection":         {func(s *verify.Snapshot) { detection(s); exception("bad.io/*:*", time.Hour)(s) }, nil, bad, verify.Excepted},
		"an exception for what is no reference": {exception("*:*", time.Hour), nil, "::", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "bad.io/*:*", fake: &fake{validate: fails(validator.NoSignature)}}, rule{pattern: "down.io/*:*", fake: &fake{validate: fails(validator.RegistryUnavailable)}},
				rule{pattern: "good.io/*:*", fake: &fake{validate: trusts}})
			c.set(s)
			w := c.workload
			if w == nil {
				w = pod(t, c.reference)
			}
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: w, Namespace: "prod"})
			if got := verdict.Tolerance(&verdict.Images[0]); got != c.want {
				t.Errorf("tolerated by %q, want %q", got, c.want)
			}
			if refused := len(verdict.Refused()) > 0; refused != (c.want == "") || len(verdict.Tolerated())+len(verdict.Refused()) != 1 || verdict.Reason() == "" {
				t.Errorf("refused: %t, reason %q", refused, verdict.Reason())
			}
			// What holds is trusted, and pinned, in every mode.
			verdict = verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, "good.io/app:1"), Namespace: "prod"})
			if pin, _ := verdict.Pin(&verdict.Images[0]); len(verdict.Refused())+len(verdict.Tolerated()) > 0 || pin != "good.io/app:1@"+string(digestA) {
				t.Errorf("a trusted image: %+v, pin %q", summary(verdict), pin)
			}
		})
	}
}

// T31: the detection of a rule for a tag is not for a digest that the tag does not
// stand for, nor for one of which that is not known.
func TestT31DetectionOfATag(t *testing.T) {
	t.Parallel()
	const tag = "r.io/app:dev-1"
	for name, c := range map[string]struct {
		reference string
		digest    image.Digest
		err       error
		want      verify.Tolerance
	}{
		"no digest":                 {tag, "", nil, verify.Detection},
		"it stands for the digest":  {tag + "@" + string(digestB), digestB, nil, verify.Detection},
		"it stands for another one": {tag + "@" + string(digestB), digestA, nil, ""},
		"it does not exist":         {tag + "@" + string(digestB), "", validator.Errorf(validator.ImageNotFound, "no"), ""},
		"nobody could look":         {tag + "@" + string(digestB), "", validator.Errorf(validator.RegistryUnauthorized, "no"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "r.io/app:dev-*", fake: &fake{validate: fails(validator.NoSignature), resolve: resolvesTo(c.digest, c.err)}},
				rule{pattern: "r.io/*:*", fake: &fake{validate: fails(validator.NoSignature)}})
			s.Rules[0].Detection = true
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, c.reference)})
			if got := verdict.Tolerance(&verdict.Images[0]); got != c.want {
				t.Errorf("tolerated by %q, want %q", got, c.want)
			}
		})
	}
}

// Pods are pinned; what makes them is left alone where somebody else compares it.
func TestWhoIsPinned(t *testing.T) {
	t.Parallel()
	owned := `{"ownerReferences":[{"apiVersion":"apps/v1","kind":"Deployment","name":"web","uid":"1","controller":true}]}`
	const img = "good.io/app:1"
	for name, c := range map[string]struct {
		set      func(*verify.Snapshot)
		workload *workload.Workload
		want     bool
	}{
		"a Pod":                                 {nil, pod(t, img), true},
		"a Deployment":                          {nil, deploymentOf(t, "{}", img), true},
		"a ReplicaSet":                          {nil, template(t, "ReplicaSet", "{}", img), true},
		"a ReplicaSet that a controller owns":   {nil, template(t, "ReplicaSet", owned, img), false},
		"one that somebody owns":                {nil, template(t, "ReplicaSet", strings.Replace(owned, `,"controller":true`, "", 1), img), true},
		"a Pod that a controller owns":          {nil, extract(t, owned, img), true},
		"Pods only, a Pod":                      {func(s *verify.Snapshot) { s.Features.ResourceValidationMode = feature.PodsOnly }, pod(t, img), true},
		"Pods only, a Deployment":               {func(s *verify.Snapshot) { s.Features.ResourceValidationMode = feature.PodsOnly }, deploymentOf(t, "{}", img), false},
		"mutatePodsOnly, a Pod":                 {func(s *verify.Snapshot) { s.Rules[0].Mode = verify.MutatePodsOnly }, pod(t, img), true},
		"mutatePodsOnly, a Deployment":          {func(s *verify.Snapshot) { s.Rules[0].Mode = verify.MutatePodsOnly }, deploymentOf(t, "{}", img), false},
		"insecureValidateOnly, a Pod":           {func(s *verify.Snapshot) { s.Rules[0].Mode = verify.InsecureValidateOnly }, pod(t, img), false},
		"detection, a Deployment":               {func(s *verify.Snapshot) { s.Features.DetectionMode = true }, deploymentOf(t, "{}", img), true},
		"mutatePodsOnly, and verified all over": {func(s *verify.Snapshot) { s.Rules[0].Mode = verify.MutatePodsOnly }, deploymentOf(t, "{}", img), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "*:*", fake: &fake{validate: trusts}})
			if c.set != nil {
				c.set(s)
			}
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: c.workload})
			pin, demanded := verdict.Pin(&verdict.Images[0])
			if demanded != c.want || (pin != "") != c.want || verdict.Images[0].Outcome != verify.Trusted {
				t.Errorf("pin %q, demanded %t, %+v", pin, demanded, summary(verdict))
			}
		})
	}
}

// memory is what was verified.
type memory map[string]validator.Result

func (m memory) Known(req validator.Request, maxAge time.Duration) (validator.Result, bool) {
	if maxAge != 24*time.Hour {
		return validator.Result{}, false
	}
	known, ok := m[req.Image.String()]
	return known, ok
}

func TestTheLastKnownGood(t *testing.T) {
	t.Parallel()
	known := memory{"docker.io/library/app:1": {Digest: digestA, TrustRoots: []string{"alice"}, Signers: []string{"alice (key)"}}}
	for name, c := range map[string]struct {
		on        feature.OnInconclusive
		reason    validator.Reason
		reference string
		want      verify.Tolerance
	}{
		"it is taken in an outage":         {feature.LastKnownGood, validator.RegistryUnavailable, "app:1", verify.LastKnownGood},
		"not where nobody wants it":        {feature.Deny, validator.RegistryUnavailable, "app:1", ""},
		"not by the zero value":            {"", validator.RegistryUnavailable, "app:1", ""},
		"not for what is denied":           {feature.LastKnownGood, validator.NoSignature, "app:1", ""},
		"not for what was revoked":         {feature.LastKnownGood, validator.Revoked, "app:1", ""},
		"not for what was never verified":  {feature.LastKnownGood, validator.RegistryUnavailable, "app:2", ""},
		"not for another digest than then": {feature.LastKnownGood, validator.RegistryUnavailable, "app:1@" + string(digestB), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "*:*", fake: &fake{validate: fails(c.reason)}})
			s.Features.OnInconclusive, s.Rules[0].Memory = c.on, known
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, c.reference)})
			if got := verdict.Tolerance(&verdict.Images[0]); got != c.want {
				t.Errorf("tolerated by %q, want %q", got, c.want)
			}
			pin, demanded := verdict.Pin(&verdict.Images[0])
			if demanded != (c.want != "") || demanded && pin != "app:1@"+string(digestA) {
				t.Errorf("pin %q, %t", pin, demanded)
			}
		})
	}
}

// Whoever brings the pull secrets can break them, which is no outage.
func TestPullSecretsThatDoNotWorkAreNoOutage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pullSecrets bool
		reason      validator.Reason
		want        verify.Tolerance
	}{
		{false, validator.RegistryUnauthorized, verify.LastKnownGood},
		{true, validator.RegistryUnavailable, verify.LastKnownGood},
		{true, validator.RegistryUnauthorized, ""},
	} {
		s := snapshot(t, rule{pattern: "*:*", fake: &fake{validate: fails(c.reason)}})
		s.Features.OnInconclusive, s.Rules[0].PullSecrets = feature.LastKnownGood, c.pullSecrets
		s.Rules[0].Memory = memory{"docker.io/library/app:1": {Digest: digestA}}
		verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, "app:1")})
		if got := verdict.Tolerance(&verdict.Images[0]); got != c.want {
			t.Errorf("%+v: tolerated by %q", c, got)
		}
	}
}

// A tag that is not pinned may stand for anything by now.
func TestT4TheLastKnownGoodIsWhatRuns(t *testing.T) {
	t.Parallel()
	known := memory{"docker.io/library/app:1": {Digest: digestA}, "docker.io/library/app:1@" + string(digestA): {Digest: digestA}}
	for _, c := range []struct {
		mode      verify.Mode
		reference string
		want      verify.Tolerance
	}{
		{verify.Mutate, "app:1", verify.LastKnownGood},
		{verify.MutatePodsOnly, "app:1", verify.LastKnownGood},
		{verify.InsecureValidateOnly, "app:1", ""},
		{verify.InsecureValidateOnly, "app:1@" + string(digestA), verify.LastKnownGood},
	} {
		s := snapshot(t, rule{pattern: "*:*", mode: c.mode, fake: &fake{validate: fails(validator.RegistryUnavailable)}})
		s.Features.OnInconclusive, s.Rules[0].Memory = feature.LastKnownGood, known
		verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, c.reference)})
		if got := verdict.Tolerance(&verdict.Images[0]); got != c.want {
			t.Errorf("%+v: tolerated by %q", c, got)
		}
	}
}

func TestUpdatesWithoutAnotherImageCanBeLeftAlone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		on      bool
		old     *workload.Workload
		skipped bool
	}{
		"off":                     {false, pod(t, "app:1"), false},
		"on":                      {true, pod(t, "app:1"), true},
		"on, something new":       {true, nil, false},
		"on, another image":       {true, pod(t, "app:2"), false},
		"on, in another spelling": {true, pod(t, "docker.io/library/app:1"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "*:*", fake: &fake{validate: fails(validator.NoSignature)}})
			s.Features.AutomaticUnchangedApproval = c.on
			verdict := verify.Engine{}.Verify(t.Context(), s, verify.Request{Workload: pod(t, "app:1"), Old: c.old})
			if skipped := verdict.Skipped != ""; skipped != c.skipped || skipped == (len(verdict.Refused()) > 0) {
				t.Errorf("skipped: %q", verdict.Skipped)
			}
		})
	}
}

// owners are objects by name.
type owners map[string]*workload.Workload

func (o owners) Owner(ctx context.Context, namespace string, ref metav1.OwnerReference) (*workload.Workload, error) {
	if _, ok := ctx.Deadline(); !ok {
		return nil, errors.New("somebody may wait for ever")
	}
	if found := o[namespace+"/"+ref.Kind+"/"+ref.Name]; found != nil {
		return found, nil
	}
	return nil, errors.New("not found")
}

// T10, T11, T33: a child is approved without being verified again if the object
// that made it is there, has the image pinned, and the digest was verified.
func TestT11ChildrenAreApproved(t *testing.T) {
	t.Parallel()
	pinned := "app:1@" + string(digestA)
	child := func(uid string, images ...string) *workload.Workload {
		return extract(t, `{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"`+uid+`","controller":true}]}`, images...)
	}
	verified := memory{"docker.io/library/" + pinned: {Digest: digestA, TrustRoots: []string{"alice"}}}
	set := func(images ...string) owners {
		return owners{"prod/ReplicaSet/web": template(t, "ReplicaSet", `{"name":"web","uid":"1"}`, images...)}
	}
	initContainers := func() *workload.Workload {
		w, err := workload.Builtin().Extract(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, fmt.Appendf(nil,
			`{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"1","controller":true}]},"spec":{"initContainers":[{"name":"i","image":%q}],"containers":[{"name":"c","image":%[1]q}]}}`, pinned))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	for name, c := range map[string]struct {
		approval any
		owners   verify.Owners
		memory   validator.Memory
		workload *workload.Workload
		want     verify.Outcome // Denied if it is verified, since it is not signed
	}{
		"it was verified, and its owner has it":        {true, set(pinned), verified, child("1", pinned), verify.Trusted},
		"switched off":                                 {false, set(pinned), verified, child("1", pinned), verify.Denied},
		"the zero value":                               {nil, set(pinned), verified, child("1", pinned), verify.Denied},
		"T33: it was never verified":                   {true, set(pinned), memory{}, child("1", pinned), verify.Denied},
		"another digest was verified":                  {true, set(pinned), memory{"docker.io/library/" + pinned: {Digest: digestB}}, child("1", pinned), verify.Denied},
		"nobody remembers":                             {true, set(pinned), nil, child("1", pinned), verify.Denied},
		"T11: another object of that name":             {true, set(pinned), verified, child("2", pinned), verify.Denied},
		"T11: an owner without a UID, and a claim too": {true, owners{"prod/ReplicaSet/web": template(t, "ReplicaSet", `{"name":"web"}`, pinned)}, verified, child("", pinned), verify.Denied},
		"T10: no such owner":                           {true, owners{}, verified, child("1", pinned), verify.Denied},
		"T10: nobody to ask":                           {true, nil, verified, child("1", pinned), verify.Denied},
		"T11: an owner in another namespace":           {true, owners{"other/ReplicaSet/web": template(t, "ReplicaSet", `{"name":"web","uid":"1"}`, pinned)}, verified, child("1", pinned), verify.Denied},
		"its owner has another image":                  {true, set("other:1@" + string(digestA)), verified, child("1", pinned), verify.Denied},
		"its owner has another digest":                 {true, set("app:1@" + string(digestB)), verified, child("1", pinned), verify.Denied},
		"its owner has the tag alone":                  {true, set("app:1"), verified, child("1", "app:1"), verify.Denied},
		"its owner has it in another list":             {true, set(pinned), verified, initContainers(), verify.Denied},
		"it has no owner":                              {true, set(pinned), verified, pod(t, pinned), verify.Denied},
		"its owner's word":                             {feature.TrustOwners, set(pinned), nil, child("1", pinned), verify.Skipped},
		"its owner's word, for a tag":                  {feature.TrustOwners, set("app:1"), nil, child("1", "app:1"), verify.Denied},
		"the word of another object of that name":      {feature.TrustOwners, set(pinned), nil, child("2", pinned), verify.Denied},
		"an owner that takes no part":                  {true, set(pinned), verified, extract(t, `{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"1"}]}`, pinned), verify.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "*:*", fake: &fake{validate: fails(validator.NoSignature)}})
			s.Features.AutomaticChildApproval = c.approval
			s.Rules[0].Memory = c.memory
			verdict := verify.Engine{Owners: c.owners}.Verify(t.Context(), s, verify.Request{Workload: c.workload, Namespace: "prod"})
			for i := range verdict.Images {
				if got := verdict.Images[i].Outcome; got != c.want {
					t.Errorf("image %d: got %s, want %s (%s)", i, got, c.want, verdict.Images[i].Message)
				}
			}
			// Off together with Pods only.
			s.Features.ResourceValidationMode = feature.PodsOnly
			verdict = verify.Engine{Owners: c.owners}.Verify(t.Context(), s, verify.Request{Workload: c.workload, Namespace: "prod"})
			if verdict.Images[0].Outcome != verify.Denied {
				t.Errorf("Pods only: %s", verdict.Images[0].Outcome)
			}
		})
	}
}

// T31: a child falls under the rule for its tag only while the tag stands for its
// digest, whatever was verified by that rule before.
func TestT31ChildrenOfATag(t *testing.T) {
	t.Parallel()
	pinned := "r.io/app:stable@" + string(digestA)
	made := owners{"prod/ReplicaSet/web": template(t, "ReplicaSet", `{"name":"web","uid":"1"}`, pinned)}
	child := extract(t, `{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"1","controller":true}]}`, pinned)
	for name, c := range map[string]struct {
		approval any
		digest   image.Digest
		err      error
		want     verify.Outcome
	}{
		"it does":                          {true, digestA, nil, verify.Trusted},
		"it has moved":                     {true, digestB, nil, verify.Denied},
		"nobody could look":                {true, "", validator.Errorf(validator.RegistryUnavailable, "no"), verify.Inconclusive},
		"nobody could look, owners' words": {feature.TrustOwners, "", validator.Errorf(validator.RegistryUnavailable, "no"), verify.Skipped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := snapshot(t, rule{pattern: "r.io/app:stable", fake: &fake{validate: fails(validator.NoSignature), resolve: resolvesTo(c.digest, c.err)}},
				rule{pattern: "r.io/*:*", fake: &fake{validate: fails(validator.NoSignature)}})
			s.Features.AutomaticChildApproval = c.approval
			s.Rules[0].Memory = memory{pinned: {Digest: digestA}}
			verdict := verify.Engine{Owners: made}.Verify(t.Context(), s, verify.Request{Workload: child, Namespace: "prod"})
			if got := verdict.Images[0].Outcome; got != c.want {
				t.Errorf("got %s, want %s (%s)", got, c.want, verdict.Images[0].Message)
			}
		})
	}
}
