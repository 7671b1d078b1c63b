//go:build integration

package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// A replica that was told to end answers for a while, and by the configuration that
// is in force, not by the one that was when it was told.
func TestAReplicaThatEndsFollowsTheConfiguration(t *testing.T) {
	image := newUnsigned(t)
	configure(t, base)
	restart := func(grace string) *exec.Cmd {
		cmd := exec.Command(script, "restart") // longer than the test, if need be
		cmd.Env = append(os.Environ(), "WEBHOOK_GRACE_PERIOD="+grace)
		return cmd
	}
	if out, err := restart("8s").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ending := func(ctx context.Context) error {
		if state, err := hook.readiness(ctx); err == nil || !strings.Contains(err.Error(), "shutting down") {
			return fmt.Errorf("it does not end: %q, %w", state, err)
		}
		return nil
	}
	again := restart("1s")
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := again.Wait(); err != nil {
			t.Error(err)
		}
	})
	clustertest.Within(t, patience, ending)
	if err := base.with(fmt.Sprintf("- {pattern: %q, validator: allow}\n", image.Name())).apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, "default", image.String()) })
	if err := ending(t.Context()); err != nil {
		t.Errorf("it was another that answered: %v", err)
	}
}
