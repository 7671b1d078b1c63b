//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// hammer has workers ask again and again whether something is admitted, until stop
// tells how often it was and how often not. Anything but a verdict fails the test.
func hammer(t *testing.T, workers int, ask func(context.Context) (bool, error)) (stop func() (admitted, refused int64)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var yes, no atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for ctx.Err() == nil {
				// Not ctx: what is under way when the test ends must be answered too.
				switch admitted, err := ask(t.Context()); {
				case err != nil:
					t.Errorf("a request failed by something else than a verdict: %v", err)
					return
				case admitted:
					yes.Add(1)
				default:
					no.Add(1)
				}
			}
		})
	}
	stop = func() (int64, int64) {
		cancel()
		group.Wait()
		return yes.Load(), no.Load()
	}
	t.Cleanup(func() { stop() })
	return stop
}

// verdict reads that on an unsigned image.
func verdict(err error, image registrytest.Image) (admitted bool, failure error) {
	if err == nil || clustertest.Denied(err, "Unable to find signed digest for image "+image.String()) == nil {
		return err == nil, nil
	}
	return false, err
}

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

	stop := hammer(t, workers, func(ctx context.Context) (bool, error) {
		return verdict(try(ctx, namespace, image.String()), image)
	})
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
			clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, namespace, image.String()) })
		} else {
			clustertest.Within(t, promised, func(ctx context.Context) error { return clustertest.Denied(try(ctx, namespace, image.String())) })
		}
		<-ticker.C
	}
	admitted, refused := stop()
	t.Logf("%d requests were admitted and %d denied", admitted, refused)
	if admitted < edits || refused < edits {
		t.Errorf("%d requests were admitted and %d denied; both should be many", admitted, refused)
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

// A kind that is listed or taken out changes what is looked at, and drops or fails
// no request about its objects: what is signed is always admitted, and what is not
// is denied for that reason only.
func TestAKindIsListedAndTakenOutUnderLoad(t *testing.T) {
	const (
		workers = 4
		edits   = 8
	)
	client, namespace := anyClient(t), newNamespace(t, nil)
	widget := resource{"loaded.example.org", "v1", "Widget", "widgets"}
	define(t, client, widget)
	objects := client.Resource(widget.gvr()).Namespace(namespace)
	create := func(ctx context.Context, image registrytest.Image) (*unstructured.Unstructured, error) {
		return objects.Create(ctx, widget.newObject(map[string]any{"image": image.String()}), dryRun())
	}
	listed := base.set(workloadsName, "workloads", "[{group: loaded.example.org, version: v1, kind: Widget, paths: [spec.image]}]")
	configure(t, base)
	clustertest.Within(t, patience, func(ctx context.Context) error { // the API server is at work on the definition
		_, err := create(ctx, unsigned)
		return err
	})

	stopSigned := hammer(t, workers, func(ctx context.Context) (bool, error) {
		got, err := create(ctx, signed)
		if err != nil {
			return false, err
		}
		switch image, _, _ := unstructured.NestedString(got.Object, "spec", "image"); image {
		case signed.Pinned():
			return true, nil
		case signed.String(): // it was not looked at, or by one of the webhooks
			return false, nil
		default:
			return false, fmt.Errorf("the image became %q", image)
		}
	})
	stopUnsigned := hammer(t, workers, func(ctx context.Context) (bool, error) {
		_, err := create(ctx, unsigned)
		return verdict(err, unsigned)
	})
	for i := range edits {
		c, effect := listed, func(ctx context.Context) error {
			_, err := create(ctx, unsigned)
			return clustertest.Denied(err, "NoSignature")
		}
		if i%2 == 1 {
			c, effect = base, func(ctx context.Context) error {
				got, err := create(ctx, signed)
				if err != nil {
					return err
				}
				if image, _, _ := unstructured.NestedString(got.Object, "spec", "image"); image != signed.String() {
					return errors.New("it is still pinned")
				}
				_, err = create(ctx, unsigned)
				return err
			}
		}
		if err := c.apply(t.Context()); err != nil {
			t.Error(err)
		}
		clustertest.Within(t, patience, effect)
	}
	pinned, plain := stopSigned()
	admitted, refused := stopUnsigned()
	t.Logf("signed: %d were pinned and %d not; unsigned: %d were admitted and %d denied", pinned, plain, admitted, refused)
	if min(pinned, plain, admitted, refused) < edits {
		t.Error("each of these should be many")
	}
}
