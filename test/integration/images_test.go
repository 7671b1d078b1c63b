//go:build integration

package integration

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

var pushed atomic.Int64

// push puts an image into a repository that no other image is in, so that what
// is remembered about another cannot help.
func push(prefix string) registrytest.Image {
	return reg.Push(registrytest.Panics, fmt.Sprintf("%s-%d:v1", prefix, pushed.Add(1)))
}

// newSigned is an image of the test's own, signed by us.
func newSigned(t *testing.T) registrytest.Image {
	t.Helper()
	image := push("own/signed")
	reg.Sign(t, image, ours)
	return image
}

// newUnsigned is an image of the test's own without a signature.
func newUnsigned(t *testing.T) registrytest.Image {
	t.Helper()
	return push("own/unsigned")
}

// breakDown answers every request for the image with a fault until the
// function that is returned is called.
func breakDown(t *testing.T, image registrytest.Image, fault registrytest.Fault) (repair func()) {
	t.Helper()
	fault.Path = "/" + image.Repository + "/"
	repair = reg.Inject(fault)
	t.Cleanup(repair)
	return repair
}
