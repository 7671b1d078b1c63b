package admission

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// T18, T24: an object with more images than there is time for is denied at
// once, in a few words, and with a short line in the log.
func TestT18AnObjectOfTooManyImagesIsDenied(t *testing.T) {
	t.Parallel()
	snapshots := func() (*verify.Snapshot, error) { return &verify.Snapshot{Workloads: workload.Builtin()}, nil }
	for _, n := range []int{maxImages + 1, 100 * maxImages} { // more than are listed, too
		var containers []string
		for i := range n {
			containers = append(containers, fmt.Sprintf(`{"name":"c%d","image":"example.org/x%d"}`, i, i))
		}
		object := `{"metadata":{"name":"x"},"spec":{"containers":[` + strings.Join(containers, ",") + `]}}`
		got := NewMutating(verify.Engine{Now: time.Now}, snapshots, nil, zap.NewNop()).Admit(t.Context(), &admissionv1.AdmissionRequest{
			Operation: admissionv1.Create, Kind: metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, Object: runtime.RawExtension{Raw: []byte(object)},
		})
		if got.Allowed || !strings.Contains(got.Result.Message, "(TooLarge)") || len(got.Result.Message) > 200 {
			t.Errorf("%d images: got %+v", n, got)
		}
	}
}

// T6: one that was stored before can be deleted, finalizers and all; not if an
// image of it changes.
func TestT6AnObjectOfTooManyImagesCanBeDeleted(t *testing.T) {
	t.Parallel()
	snapshots := func() (*verify.Snapshot, error) { return &verify.Snapshot{Workloads: workload.Builtin()}, nil }
	h := NewValidating(verify.Engine{}, snapshots, nil, zap.NewNop())
	spec := podSpec(make([]string, maxImages+1)...)
	kind := allKinds["Deployment"]
	kind.before = `{"metadata":{"deletionTimestamp":"2026-01-02T03:04:05Z"},` + kind.before[1:]
	wantAllowed(t, h.Admit(t.Context(), update(kind, spec, spec)))
	wantDenied(t, h.Admit(t.Context(), update(kind, spec, podSpec(append(make([]string, maxImages), "x")...))), "TooLarge")
	wantDenied(t, h.Admit(t.Context(), update(allKinds["Deployment"], spec, spec)), "TooLarge")
	wantDenied(t, h.Admit(t.Context(), create(kind, spec)), "TooLarge")
}

// Reviews that would take more memory than there is wait for others to end, and
// no longer than the API server does.
func TestReviewsWaitForMemory(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	busy := make(chan struct{}, 16)
	g := newGuard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.ContentLength <= smallReview {
			return
		}
		busy <- struct{}{}
		<-release
	}), zap.NewNop().Sugar())
	post := func(timeout string, size int) int {
		recorder := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, MutatePath+"?timeout="+timeout, bytes.NewReader(make([]byte, size)))
		g.ServeHTTP(recorder, r)
		return recorder.Code
	}
	const fit = maxReviews / maxReview
	codes := make(chan int, fit)
	for range fit {
		go func() { codes <- post("20s", maxReview) }()
	}
	for range fit {
		<-busy
	}
	if code := post("50ms", maxReview); code != http.StatusServiceUnavailable {
		t.Errorf("one too many got %d", code)
	}
	if code := post("50ms", smallReview); code != http.StatusOK {
		t.Errorf("a small one got %d", code)
	}
	close(release)
	for range fit {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("one that fits got %d", code)
		}
	}
}

func TestADrainingServerSendsItsClientsAway(t *testing.T) {
	t.Parallel()
	g := newGuard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, limited := r.Context().Deadline()
		_ = json.NewEncoder(w).Encode(limited)
	}), zap.NewNop().Sugar())
	for _, draining := range []bool{false, true} {
		g.draining.Store(draining)
		recorder := httptest.NewRecorder()
		g.ServeHTTP(recorder, httptest.NewRequestWithContext(context.Background(), http.MethodPost, MutatePath, nil))
		if closes := recorder.Header().Get("Connection") == "close"; closes != draining || recorder.Body.String() != "true\n" {
			t.Errorf("draining %v: %v, %q", draining, recorder.Header(), recorder.Body)
		}
	}
}
