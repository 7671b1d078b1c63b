//go:build integration

package integration

import (
	"context"
	"crypto"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// What all tests share. Only the configuration of the webhook changes.
var (
	cluster kubernetes.Interface
	hook    webhook

	reg      *registrytest.Registry
	ours     crypto.Signer // whose signatures the base policy trusts
	stranger crypto.Signer

	signed, unsigned, foreign registrytest.Image

	base         configuration
	baseRevision string
)

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if cluster, err = clustertest.Connect(); err != nil {
		return 1, err
	}
	if hook, err = findWebhook(ctx); err != nil {
		return 1, err
	}
	reg = registrytest.Start()
	defer reg.Close()
	defer theCosigns.stop()
	ours, stranger = registrytest.Key(registrytest.Panics), registrytest.Key(registrytest.Panics)
	signed, unsigned, foreign = push("team/signed"), push("team/unsigned"), push("team/foreign")
	reg.Sign(registrytest.Panics, signed, ours)
	reg.Sign(registrytest.Panics, foreign, stranger)

	before := configuration{}
	for _, name := range configMaps {
		cm, err := cluster.CoreV1().ConfigMaps(ownNamespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return 1, err
		}
		before[name] = maps.Clone(cm.Data)
	}
	defer func() {
		if restored := before.apply(context.Background()); err == nil {
			err = restored
		}
	}()
	base = baseConfiguration()
	if err := base.apply(ctx); err != nil {
		return 1, err
	}
	if err := clustertest.Poll(ctx, 10*time.Second, func(ctx context.Context) error {
		if err := clustertest.Denied(try(ctx, "default", unsigned.String()), "NoSignature"); err != nil {
			return err
		}
		baseRevision, err = hook.revision(ctx)
		return err
	}); err != nil {
		return 1, fmt.Errorf("the base policy does not take effect: %w", err)
	}
	return m.Run(), nil
}
