//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// What all tests share. Each of them leaves the webhook installed, with two replicas
// and the base policy.
var (
	cluster kubernetes.Interface
	// ownNode tells whether it is that of hack/cluster.sh, whose processes are here.
	ownNode = os.Getenv("CONNAISSEUR_CLUSTER_NODE") == "true"

	signed, unsigned, foreign builtImage
	publicKey                 string // whose signatures the base policy trusts
	strangersKey              string // whose signatures it does not
)

func TestMain(m *testing.M) {
	status, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		status = 1
	}
	os.Exit(status)
}

func run(m *testing.M) (status int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if cluster, err = clustertest.Connect(); err != nil {
		return 1, err
	}
	_, err = cluster.CoreV1().Namespaces().Get(ctx, ownNamespace, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return 1, err
	case !ownNode:
		return 1, errors.New("Connaisseur is installed in this cluster: these tests begin from nothing, and would remove it")
	default: // of tests that did not end
		if err := uninstall(ctx); err != nil {
			return 1, err
		}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cosign.folder)) }()
	if err := makeImages(ctx); err != nil {
		return 1, err
	}
	took, err := install(ctx)
	if err != nil {
		return 1, err
	}
	fmt.Printf("from nothing to two replicas Ready: %v with ko apply (%v), which builds and pushes\n",
		took.total.Round(10*time.Millisecond), took.applied.Round(10*time.Millisecond))
	status = m.Run()
	if !ownNode { // that of hack/cluster.sh goes as a whole
		err = uninstall(context.Background())
	}
	return status, err
}
