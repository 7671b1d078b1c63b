//go:build integration

package integration

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Reloads neither drop nor fail a request, and each request is answered by one
// configuration.
func TestReloadsUnderLoad(t *testing.T) {
	const (
		workers = 8
		edits   = 24
		pace    = 400 * time.Millisecond
	)
	namespace := newNamespace(t, nil)
	image := newUnsigned(t)
	lenient := base.with(fmt.Sprintf("- {pattern: %q, validator: allow}\n", image.Name()))
	configure(t, base)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var admitted, refused atomic.Int64
	failures := make(chan error, workers)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for ctx.Err() == nil {
				// Not ctx: what is under way when the test ends must be answered too.
				err := try(t.Context(), namespace, image.String())
				switch {
				case err == nil:
					admitted.Add(1)
				case denied(err, "Unable to find signed digest for image "+image.String()) == nil:
					refused.Add(1)
				default:
					failures <- err
					return
				}
			}
		})
	}
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for i := range edits {
		c := base
		if i%2 == 0 {
			c = lenient
		}
		if err := c.apply(t.Context()); err != nil {
			t.Error(err)
		}
		if i%2 == 0 {
			within(t, promised, func(ctx context.Context) error { return try(ctx, namespace, image.String()) })
		} else {
			within(t, promised, func(ctx context.Context) error { return denied(try(ctx, namespace, image.String())) })
		}
		<-ticker.C
	}
	stop()
	group.Wait()
	close(failures)
	for err := range failures {
		t.Errorf("a request failed by something else than a verdict: %v", err)
	}
	t.Logf("%d requests were admitted and %d denied", admitted.Load(), refused.Load())
	if admitted.Load() < edits || refused.Load() < edits {
		t.Errorf("%d requests were admitted and %d denied; both should be many", admitted.Load(), refused.Load())
	}

	outcomes := map[string]map[string]int{} // by revision
	for _, e := range hook.logged(t, func(e entry) bool { return e.Namespace == namespace }) {
		if outcomes[e.Revision] == nil {
			outcomes[e.Revision] = map[string]int{}
		}
		outcomes[e.Revision][e.Outcome]++
	}
	t.Logf("outcomes by revision: %v", outcomes)
	if len(outcomes) != 2 || len(outcomes[baseRevision]) != 1 || outcomes[baseRevision]["Denied"] == 0 {
		t.Errorf("the outcomes do not belong to the two revisions: %v", outcomes)
	}
	for revision, by := range outcomes {
		if revision != baseRevision && (len(by) != 1 || by["Allowed"] == 0) {
			t.Errorf("revision %s allows the image, but decided %v", revision, by)
		}
	}
}
