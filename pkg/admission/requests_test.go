package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/workloadtest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// onlyOwner is a cluster with one object.
type onlyOwner map[string]any

func (o onlyOwner) Owner(_ context.Context, _ string, ref metav1.OwnerReference) (*workload.Workload, error) {
	object := &unstructured.Unstructured{Object: o}
	if o == nil || object.GetName() != ref.Name || object.GetKind() != ref.Kind {
		return nil, errors.New("it is not there")
	}
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return workload.Builtin().Extract(object.GroupVersionKind(), text)
}

// Each of the requests has its answer from both webhooks, over HTTP: what is
// pinned is admitted as it is then, with nothing left to do.
func TestTheRequestsAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, r := range workloadtest.Requests(t, w.signed, w.unsigned) {
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			mine := &world{reg: w.reg, key: w.key, features: r.Features}
			mine.snapshot = mine.with(t, workloadtest.Rules)
			engine := verify.Engine{Owners: onlyOwner(r.Owner)}
			server := serve(t, NewMutating(engine, mine.snapshots, nil, zap.NewNop()), NewValidating(engine, mine.snapshots, nil, zap.NewNop()))
			ask := func(path string, object map[string]any) *admissionv1.AdmissionResponse {
				t.Helper()
				status, got := post(t, http.MethodPost, server.URL+path, "application/json", bytes.NewReader(review(t, r.About(t, "prod", object))))
				if status != http.StatusOK || got.Response == nil || got.Response.UID != "u-1" {
					t.Fatalf("%s: status %d, %+v", path, status, got.Response)
				}
				return got.Response
			}
			if len(r.Denied) > 0 {
				wantDenied(t, ask(MutatePath, r.Object), r.Denied...)
				wantDenied(t, ask(ValidatePath, r.Object), r.Denied...)
				return
			}
			got := ask(MutatePath, r.Object)
			wantAllowed(t, got)
			var patch []operation
			if got.Patch != nil {
				if err := json.Unmarshal(got.Patch, &patch); err != nil {
					t.Fatal(err)
				}
			}
			pins := map[string]string{}
			for _, op := range patch {
				pins[op.Path] = op.Value
			}
			want := r.Pins
			if want == nil {
				want = map[string]string{}
			}
			if diff := cmp.Diff(want, pins); diff != "" || len(pins) != len(patch) {
				t.Errorf("patch %s (-want +got):\n%s", got.Patch, diff)
			}
			for _, path := range []string{MutatePath, ValidatePath} {
				got := ask(path, r.Stored(t))
				wantAllowed(t, got)
				if got.Patch != nil {
					t.Errorf("%s patches again: %s", path, got.Patch)
				}
			}
			if len(r.Pins) > 0 { // T9
				wantDenied(t, ask(ValidatePath, r.Object), "NotPinned")
			}
		})
	}
}

func TestWhatNoAPIServerSendsLeavesNoTrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	long := strings.Repeat("x", 5<<10)
	for name, change := range map[string]func(*admissionv1.AdmissionRequest){
		"namespace": func(r *admissionv1.AdmissionRequest) { r.Namespace = long },
		"UID":       func(r *admissionv1.AdmissionRequest) { r.UID = types.UID(long) },
		"kind":      func(r *admissionv1.AdmissionRequest) { r.Kind.Kind = long },
		"resource":  func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = long },
	} {
		req := create(allKinds["Pod"], podSpec(w.unsigned.String()))
		change(req)
		f, l := &sinkhole{}, &listener{}
		wantDenied(t, w.mutating().WithFindings(f, nil).WithWorkloadEvents(NewWorkloadEvents(l)).Admit(t.Context(), req), "TooLarge")
		if len(f.take())+len(l.all) > 0 {
			t.Errorf("%s: it is told", name)
		}
	}
}
