//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

const (
	// streamWorkers ask one after the other, each every streamPace: enough that a
	// gap of 50 ms meets some requests, and not so many that they are the load.
	streamWorkers = 6
	streamPace    = 100 * time.Millisecond
)

// stream asks the API server all the time for Pods with a signed image, an unsigned
// one, and one that a stranger signed, and minds each answer.
type stream struct {
	namespace string
	cancel    context.CancelFunc
	group     sync.WaitGroup

	mu       sync.Mutex
	right    []time.Time // when answers came that were right
	wrong    []string    // what was admitted or denied and must not have been
	failures []failure   // what got no verdict
}

// failure is a request without a verdict.
type failure struct {
	asked, answered time.Time
	err             error
}

// newStream starts one.
func newStream(t *testing.T) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &stream{namespace: newNamespace(t), cancel: cancel}
	for worker := range streamWorkers {
		s.group.Go(func() {
			ticker := time.NewTicker(streamPace)
			defer ticker.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				s.ask(t.Context(), fmt.Sprintf("load-%d-%d", worker, i), i) // not ctx: what is under way is to be answered
				select {
				case <-ctx.Done():
				case <-ticker.C:
				}
			}
		})
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// ask makes one request.
func (s *stream) ask(ctx context.Context, name string, i int) {
	image := [...]builtImage{signed, unsigned, signed, foreign}[i%4]
	asked := time.Now()
	got, err := try(ctx, s.namespace, name, image.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil && (image != signed || got != signed.pinned()):
		s.wrong = append(s.wrong, fmt.Sprintf("%s was admitted as %s", image, got))
	case err == nil, image == unsigned && clustertest.Denied(err, "NoSignature") == nil, image == foreign && clustertest.Denied(err, "UntrustedSigner") == nil:
		s.right = append(s.right, now)
	case image == signed && (clustertest.Denied(err, "NoSignature") == nil || clustertest.Denied(err, "UntrustedSigner") == nil):
		s.wrong = append(s.wrong, fmt.Sprintf("%s was denied: %v", image, err))
	default:
		s.failures = append(s.failures, failure{asked, now, err})
	}
}

// stop ends it.
func (s *stream) stop() {
	s.cancel()
	s.group.Wait()
}

// wrongSoFar is how many answers were wrong until now.
func (s *stream) wrongSoFar() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.wrong)
}

// wantNoneWrong fails the test for wrong answers, and for too few of the right ones.
func (s *stream) wantNoneWrong(t *testing.T) {
	t.Helper()
	s.stop()
	for _, wrong := range s.wrong {
		t.Errorf("a wrong answer: %s", wrong)
	}
	if len(s.right) < 50 {
		t.Errorf("there were only %d right answers", len(s.right))
	}
	slices.SortFunc(s.right, time.Time.Compare)
	var gap time.Duration
	for i := 1; i < len(s.right); i++ {
		gap = max(gap, s.right[i].Sub(s.right[i-1]))
	}
	t.Logf("%d right answers, at most %v apart; %d failures", len(s.right), gap.Round(time.Millisecond), len(s.failures))
}

// wantAllRight fails the test for failures too.
func (s *stream) wantAllRight(t *testing.T) {
	t.Helper()
	s.wantNoneWrong(t)
	if len(s.failures) > 0 {
		first, last := s.failures[0].asked, s.failures[len(s.failures)-1].asked
		t.Errorf("%d requests got no verdict, from %s on for %v", len(s.failures), first.Format(time.StampMilli), last.Sub(first).Round(time.Millisecond))
	}
	s.explainFailures(t)
}

// wantFailuresOnly fails the test for failures of requests that were made before
// the fault or later than that after it.
func (s *stream) wantFailuresOnly(t *testing.T, fault time.Time, window time.Duration) {
	t.Helper()
	s.wantNoneWrong(t)
	var last time.Duration
	for _, f := range s.failures {
		last = max(last, f.asked.Sub(fault))
		if f.answered.Before(fault) || f.asked.After(fault.Add(window)) {
			t.Errorf("no verdict on what was asked %v after the fault: %v", f.asked.Sub(fault).Round(time.Millisecond), f.err)
		}
	}
	t.Logf("the last failure was asked for %v after the fault", last.Round(time.Millisecond))
	s.explainFailures(t)
}

// explainFailures says why there was no verdict, each reason once.
func (s *stream) explainFailures(t *testing.T) {
	t.Helper()
	texts := map[string]int{}
	for _, f := range s.failures {
		texts[f.err.Error()]++
	}
	for text, times := range texts {
		t.Logf("%d times: %s", times, text)
	}
}

// warm waits until the stream has got answers.
func (s *stream) warm(t *testing.T) {
	t.Helper()
	clustertest.Within(t, patience, func(context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.right) < 20 {
			return fmt.Errorf("only %d answers", len(s.right))
		}
		return nil
	})
}
