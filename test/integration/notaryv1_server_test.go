//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/sse-secure-systems/connaisseur/test/clients"
)

// T28: an outage is not reported as a missing signature.
func TestANotaryServerThatIsDown(t *testing.T) {
	const outage = "could not be checked, which says nothing about the image itself"
	tell(t, []story{{
		name: "says nothing, neither about what was admitted before nor about what was not", before: []event{signs(targets, "v1", one)},
		then: []event{
			admits(":v1", one), findsNone(":v2"), endsServer,
			denies(":v1", "RegistryUnavailable", outage), denies(":v2", "RegistryUnavailable", outage), denies("/other:v1", "RegistryUnavailable", outage),
		},
	}})
}

// endsServer takes the server away from all stories.
func endsServer(_ context.Context, r *notarized) error {
	r.server.Close()
	return nil
}

// Files that do not belong together, as they were read before and after somebody
// published, do not lead to denials.
func TestANotaryServerToWhichSomebodyPublishes(t *testing.T) {
	var tags, releasesAndTargets []event
	for n := range 10 {
		tag := fmt.Sprintf("v2.%d", n)
		tags = append(tags, signs(targets, tag, two))
		releasesAndTargets = append(releasesAndTargets, signs(releases, tag, two), signs(targets, tag, one))
	}
	keys := []event{rotatesToServer(snapshots), rotates(rootRole), rotates(targets), rotatesToServer(stamps), rotates(rootRole), rotates(snapshots)}
	tell(t, []story{
		{name: "serves a tag while others are signed", before: []event{signs(targets, "v1", one)}, then: []event{
			meanwhile(admits(":v1", one), tags), admits(":v2.9", two),
		}},
		{name: "serves a tag of a delegation while others are signed", before: []event{
			rotatesToServer(snapshots), delegates(releases, clients.PlainKey), signs(releases, "v1", one),
		}, then: []event{
			meanwhile(admits(":v1", one), releasesAndTargets), admits(":v2.9", two),
		}},
		{name: "serves a tag while keys are rotated", before: []event{signs(targets, "v1", one)}, then: []event{
			meanwhile(admits(":v1", one), keys), signs(targets, "v2", two), admits(":v2", two),
		}},
	})
}

// meanwhile has one thing happen again and again, until the others are through.
func meanwhile(again event, events []event) event {
	return func(ctx context.Context, r *notarized) error {
		through := make(chan struct{})
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error {
			defer close(through)
			return r.happen(ctx, events)
		})
		for range 2 {
			group.Go(func() error {
				for {
					if err := again(ctx, r); err != nil {
						return err
					}
					select {
					case <-through:
						return nil
					default:
					}
				}
			})
		}
		return group.Wait()
	}
}
