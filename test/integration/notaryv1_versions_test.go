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
)

// T27: which versions were seen outlives the webhook, until somebody has them
// forgotten.
func TestWhatWasSeenOfANotaryServer(t *testing.T) {
	tell(t, []story{{
		name: "is remembered after a restart, until it is forgotten", before: []event{signs(targets, "v1", one)},
		then: []event{
			admits(":v1", one), eventually(isKept), restartsWebhook,
			deleted, begins, denies(":v1", "RolledBack", "the timestamp of its trust data has the version 1, but 2 was seen before", "connaisseur forget"),
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

// forgets does what connaisseur forget does.
func forgets(ctx context.Context, r *notarized) error {
	mine := cluster.CoreV1().ConfigMaps(ownNamespace)
	cm, err := mine.Get(ctx, config.VersionsName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if cm, err = config.ForgetVersions(cm, r.server.Host, r.gun); err != nil || cm == nil {
		return fmt.Errorf("the versions cannot be forgotten: %w", err)
	}
	_, err = mine.Update(ctx, cm, metav1.UpdateOptions{})
	return err
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
		return poll(ctx, patience, func(ctx context.Context) error { return e(ctx, r) })
	}
}
