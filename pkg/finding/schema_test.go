package finding_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// emitted are events of all types, whose data has every field that there is.
func emitted(t *testing.T) map[finding.Type][]byte {
	t.Helper()
	r := &receiver{}
	b := newBench(t, r.spec("r"))
	for _, admission := range []struct {
		t       finding.Type
		outcome string
		image   verify.ImageVerdict
	}{
		{t: finding.Admitted, outcome: "Trusted", image: verify.ImageVerdict{Outcome: verify.Trusted}},
		{t: finding.Admitted, outcome: "Allowed", image: verify.ImageVerdict{Outcome: verify.Allowed}},
		{t: finding.Admitted, outcome: "Skipped", image: verify.ImageVerdict{Outcome: verify.Skipped}},
		{t: finding.Denied, outcome: "Denied"},
		{t: finding.Inconclusive, outcome: "Inconclusive", image: verify.ImageVerdict{Outcome: verify.Inconclusive}},
		{t: finding.Detected, outcome: "Detected", image: verify.ImageVerdict{Lenience: verify.Detection}},
		{t: finding.ExceptionUsed, outcome: "Excepted", image: verify.ImageVerdict{Lenience: verify.Excepted, Exception: &verify.Exception{Index: 1}}},
		{t: finding.LastKnownGoodUsed, outcome: "LastKnownGood", image: verify.ImageVerdict{LastKnownGood: true}},
	} {
		img := admission.image
		img.Image.Reference, img.Digest = "nginx", "sha256:abc"
		img.Rule = &verify.Rule{Pattern: "*:*", ValidatorName: "default"}
		img.TrustRoots, img.Signers, img.Warnings = []string{"alice"}, []string{"alice@example.com"}, []string{"expired"}
		img.Reason, img.Message, img.Cached, img.Duration = "NoSignature", "has no signature", true, time.Second
		v := verdictOn(img)
		v.Workload.UID = "7a"
		v.Workload.Owners = []metav1.OwnerReference{{Kind: "App", Name: "web", Controller: ptr.To(true)}}
		a := finding.NewAdmission("/validate", request("Deployment", admission.outcome), v)
		a.Type, a.Outcome, a.Reason, a.Time = admission.t, admission.outcome, "NoSignature", time.Now()
		a.SetMessage("1 of 1 images")
		b.Decided(a)
	}
	config := finding.Config{PolicyRevision: "abc", Restored: true, Insecure: []string{"x"}, Errors: []string{"y"}, Pod: "webhook-1"}
	b.Tell(finding.ConfigApplied, "config-policy", "abc", config)
	b.Tell(finding.ConfigRejected, "config-policy", "abc", config)
	b.Tell(finding.ExceptionEnded, "config-policy", "abc", finding.Exception{})
	b.Tell(finding.TrustExpiring, "config-policy", "abc", finding.Trust{})
	b.Close(t.Context())
	events := map[finding.Type][]byte{}
	for _, e := range r.got {
		if err := e.Validate(); err != nil {
			t.Errorf("%s is no CloudEvent: %v", e.Type(), err)
		}
		events[finding.Type(e.Type())] = e.Data()
	}
	return events
}

func TestEveryTypeOfEventsHasASchemaAndKeepsToIt(t *testing.T) {
	t.Parallel()
	events := emitted(t)
	if diff := cmp.Diff(finding.Types(), slices.Sorted(maps.Keys(events))); diff != "" {
		t.Fatalf("types without an event (-types +events):\n%s", diff)
	}
	for kind, data := range events {
		schema, tree := schemaOf(t, kind)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v\n%s", kind, err, data)
		}
		missing(t, kind.Short(), tree, value)
	}
	if _, err := finding.Schema("other"); err == nil {
		t.Error("there is a schema for a type that there is not")
	}
}

// schemaOf compiles a type's schema such that it takes no property that it does
// not name.
func schemaOf(t *testing.T, kind finding.Type) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	text, err := finding.Schema(kind)
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	closed(tree)
	if err := compiler.AddResource("schema.json", tree); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema, tree
}

func closed(schema map[string]any) {
	properties, ok := schema["properties"].(map[string]any)
	if ok {
		schema["additionalProperties"] = false
	}
	for _, property := range properties {
		closed(property.(map[string]any))
	}
	if items, ok := schema["items"].(map[string]any); ok {
		closed(items)
	}
}

// missing finds properties of the schema that the event with every field lacks.
func missing(t *testing.T, path string, schema map[string]any, value any) {
	t.Helper()
	if list, ok := value.([]any); ok {
		missing(t, path+"[0]", schema["items"].(map[string]any), list[0])
		return
	}
	fields, _ := value.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		if _, ok := fields[name]; ok {
			missing(t, path+"."+name, property.(map[string]any), fields[name])
			continue
		}
		kind, _, _ := strings.Cut(path, ".images")
		switch {
		case name == "tolerated" && slices.Contains([]string{"admission.admitted", "admission.denied", "admission.inconclusive"}, kind):
		case name == "exception" && kind != "exception.used":
		default:
			t.Errorf("%s.%s is in the schema, but in no event", path, name)
		}
	}
}

func TestAnEventAboutAnAdmission(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	b := newBench(t, r.spec("r"))
	b.Decided(denied("web"))
	b.Close(t.Context())
	e := r.got[0]
	got := map[string]any{"type": e.Type(), "source": e.Source(), "subject": e.Subject(), "schema": e.DataSchema(), "content": e.DataContentType(), "extensions": e.Extensions()}
	want := map[string]any{
		"type":       "io.github.sse-secure-systems.connaisseur.admission.denied.v1",
		"source":     "/clusters/test/namespaces/connaisseur/services/connaisseur-webhook",
		"subject":    "/apis/apps/v1/namespaces/prod/deployments/web",
		"schema":     "https://raw.githubusercontent.com/sse-secure-systems/connaisseur/main/pkg/finding/schema/admission.v1.json",
		"content":    "application/json",
		"extensions": map[string]any{"outcome": "denied", "namespace": "prod"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var data finding.Admission
	if err := json.Unmarshal(e.Data(), &data); err != nil {
		t.Fatal(err)
	}
	if data.User != "alice" || data.PolicyRevision != "abc" || data.ImageCount != 1 || data.Images[0].Reference != "nginx" || data.Allowed {
		t.Errorf("data %+v", data)
	}
}

func TestWhatTheIDIsMadeOf(t *testing.T) {
	t.Parallel()
	image := func(reference string, outcome verify.Outcome) verify.ImageVerdict {
		return verify.ImageVerdict{Image: workload.Image{Reference: reference}, Outcome: outcome}
	}
	of := func(change func(*finding.Admission), name string, images ...verify.ImageVerdict) string {
		a := finding.NewAdmission("/validate", request("Deployment", name), verdictOn(images...))
		a.Type, a.Outcome = finding.Admitted, "Trusted"
		if change != nil {
			change(a)
		}
		return a.ID()
	}
	first := of(nil, "web", image("a", verify.Trusted), image("b", verify.Trusted))
	same := of(func(a *finding.Admission) { a.Request.UID, a.User, a.DurationSeconds = "other", "bob", 3 }, "web", image("a", verify.Trusted), image("b", verify.Trusted))
	if first != same {
		t.Error("the same finding has two IDs")
	}
	seen := map[string]string{first: "the first"}
	for what, id := range map[string]string{
		"another object":   of(nil, "api", image("a", verify.Trusted), image("b", verify.Trusted)),
		"another image":    of(nil, "web", image("a", verify.Trusted), image("c", verify.Trusted)),
		"one image less":   of(nil, "web", image("a", verify.Trusted)),
		"another verdict":  of(nil, "web", image("a", verify.Trusted), image("b", verify.Allowed)),
		"another outcome":  of(func(a *finding.Admission) { a.Outcome = "Allowed" }, "web", image("a", verify.Trusted), image("b", verify.Trusted)),
		"another revision": of(func(a *finding.Admission) { a.PolicyRevision = "def" }, "web", image("a", verify.Trusted), image("b", verify.Trusted)),
		"a new object":     of(func(a *finding.Admission) { a.Workload.UID = "2" }, "web", image("a", verify.Trusted), image("b", verify.Trusted)),
	} {
		if seen[id] != "" {
			t.Errorf("%s has the ID of %s", what, seen[id])
		}
		seen[id] = what
	}
}

func TestAnEventIsBounded(t *testing.T) {
	t.Parallel()
	r := &receiver{}
	b := newBench(t, r.spec("r"))
	long := strings.Repeat("é", 10<<10)
	var images []verify.ImageVerdict
	for range 499 {
		images = append(images, verify.ImageVerdict{
			Outcome: verify.Trusted, Image: workload.Image{Reference: long}, Message: long, Signers: slices.Repeat([]string{long}, 20),
			TrustRoots: slices.Repeat([]string{"a"}, 20), Warnings: slices.Repeat([]string{strings.Repeat("<", 1<<10)}, 20), // six bytes each in JSON
		})
	}
	images = append(images, verify.ImageVerdict{Image: workload.Image{Reference: "bad"}, Reason: "NoSignature"})
	req := request("Deployment", long)
	req.UserInfo.Username = long
	verdict := verdictOn(images...)
	verdict.Workload.UID = types.UID(long)
	a := finding.NewAdmission("/mutate", req, verdict)
	a.Type, a.Outcome = finding.Denied, "Denied"
	a.SetMessage(long)
	b.Decided(a)
	b.Close(t.Context())
	if got := len(r.got[0].Data()); got > 64<<10 {
		t.Errorf("%d bytes", got)
	}
	if got := len(r.got[0].Subject()); got > 2<<10 {
		t.Errorf("a subject of %d bytes", got)
	}
	var data finding.Admission
	if err := json.Unmarshal(r.got[0].Data(), &data); err != nil {
		t.Fatal(err)
	}
	if n := len(data.Workload.Name) + len(data.Workload.UID); n > 3<<10 {
		t.Errorf("name and UID have %d bytes", n)
	}
	if data.ImageCount != 500 || len(data.Images) == 0 || data.Images[0].Reference != "bad" {
		t.Errorf("%d of %d images, of which the first is %.10q", len(data.Images), data.ImageCount, data.Images[0].Reference)
	}
	if strings.ContainsRune(data.Message, '\uFFFD') {
		t.Error("a letter is cut in two")
	}
}

// The name of what is denied before it is validated is whatever somebody writes.
func TestASubjectIsAPath(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"web-1.a":                "web-1.a",
		"../../kube-system/pods": "..%2F..%2Fkube-system%2Fpods",
		"a\r\nce-type: b":        "a%0D%0Ace-type:%20b",
	} {
		if got := finding.NewAdmission("/mutate", request("Deployment", name), nil).Subject(); got != names(want)[0] {
			t.Errorf("%q: %s", name, got)
		}
	}
}

func TestWhatIsRefusedComesFirst(t *testing.T) {
	t.Parallel()
	var images []verify.ImageVerdict
	for range 60 {
		images = append(images, verify.ImageVerdict{Outcome: verify.Trusted}, verify.ImageVerdict{Outcome: verify.Trusted, Warnings: []string{"expired"}})
	}
	images = append(images, verify.ImageVerdict{Image: workload.Image{Reference: "bad"}, Reason: "NoSignature"})
	a := finding.NewAdmission("/mutate", request("Deployment", "web"), verdictOn(images...))
	if len(a.Images) != 50 || a.Images[0].Reference != "bad" || !a.Weak() {
		t.Errorf("%d images, of which the first is %+v", len(a.Images), a.Images[0])
	}
}
