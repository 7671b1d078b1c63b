//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// T27: which versions were seen outlives the webhook, until somebody has them
// forgotten.
func TestWhatWasSeenOfANotaryServer(t *testing.T) {
	tell(t, []story{{
		name: "is remembered after a restart, until it is forgotten", before: []event{signs(targets, "v1", one)},
		then: []event{
			admits(":v1", one), eventually(isKept), restartsWebhook,
			deleted, begins, denies(":v1", "RolledBack", "of which another was seen before", "connaisseur forget"),
			forgets, eventually(findsNone(":v1")), signs(targets, "v1", two), admits(":v1", two),
		},
	}})
}

// isKept wants the repository's versions to be in the ConfigMap.
func isKept(ctx context.Context, r *notarized) error {
	cm, err := cluster.CoreV1().ConfigMaps(ownNamespace).Get(ctx, config.VersionsName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if cm, err = config.ForgetVersions(cm, r.server.Host, r.gun); cm == nil {
		return errors.Join(errors.New("there is nothing to forget"), err)
	}
	return err
}

// forgets runs connaisseur forget.
func forgets(ctx context.Context, r *notarized) error {
	out, err := exec.CommandContext(ctx, "go", "run", "../../cmd/connaisseur", "forget", r.gun+":v1", "--server", r.server.Host).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func restartsWebhook(ctx context.Context, _ *notarized) error {
	if out, err := exec.CommandContext(ctx, script, "restart").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// eventually has something happen again until nothing is wrong with it.
func eventually(e event) event {
	return func(ctx context.Context, r *notarized) error {
		return clustertest.Poll(ctx, patience, func(ctx context.Context) error { return e(ctx, r) })
	}
}
