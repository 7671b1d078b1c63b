//go:build integration

package integration

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/test/clients"
)

// cosigns are the real clients, with a Sigstore of real servers and what they
// sign with. They run from the first test that needs them to the end of all.
type cosigns struct {
	once sync.Once
	err  error

	*clients.Sigstore
	ours, stranger []string // flags with keys
	me, other      []string // flags with identities of people
	build, branch  []string // flags with identities of builds
	public         []byte   // of our key
	predicate      string   // a file
}

// Who the identities are of.
const (
	me         = "me@example.com"
	other      = "other@example.com"
	repository = "git.example.com/team/app"
)

// What signatures are made with.
const (
	nothing         = clients.Nothing
	rekor           = clients.Rekor
	rekorTiles      = clients.RekorTiles
	timestamps      = clients.Timestamps
	rekorTimestamps = clients.RekorTimestamps
	tilesTimestamps = clients.TilesTimestamps
)

// noLog is for rules that do without transparency logs.
const noLog = "verifyInTransparencyLog: false"

// predicateType is of the attestations that tests make.
const predicateType = "https://example.com/tested/v1"

var theCosigns cosigns

func realCosigns(t *testing.T) *cosigns {
	t.Helper()
	theCosigns.once.Do(func() { theCosigns.err = theCosigns.start(context.Background()) })
	if theCosigns.err != nil {
		t.Fatal(theCosigns.err)
	}
	return &theCosigns
}

func (c *cosigns) start(ctx context.Context) (err error) {
	if c.Sigstore, err = clients.Start(ctx); err != nil {
		return err
	}
	var wrong []error
	flag := func(name string) func(value string, err error) []string {
		return func(value string, err error) []string {
			wrong = append(wrong, err)
			return []string{name, value}
		}
	}
	key, token := flag("--key"), flag("--identity-token")
	ours, public, err := c.NewKey(ctx, "ours")
	c.ours, c.public = key(ours, err), public
	stranger, _, err := c.NewKey(ctx, "stranger")
	c.stranger = key(stranger, err)
	c.me, c.other = token(c.Token(me)), token(c.Token(other))
	c.build, c.branch = token(c.BuildToken(repository, "refs/heads/main")), token(c.BuildToken(repository, "refs/heads/branch"))
	c.predicate, err = c.File("predicate.json", `{"passed": true, "failures": 0}`)
	return errors.Join(append(wrong, err)...)
}

// stop ends what realCosigns has started.
func (c *cosigns) stop() {
	if c.Sigstore != nil {
		c.Close()
	}
}

// step is something that is done to an image before it is asked for.
type step func(t *testing.T, on *registrytest.Registry, image registrytest.Image)

// cosign2 runs a command by cosign 2, and cosign3 by cosign 3, each in its own
// form; cosign3Legacy runs it in the other's.
func (c *cosigns) cosign2(services clients.Services, args ...[]string) step {
	return sign(c.Cosign2, services, args)
}

func (c *cosigns) cosign3(services clients.Services, args ...[]string) step {
	return sign(c.Cosign3, services, args)
}

func (c *cosigns) cosign3Legacy(services clients.Services, args ...[]string) step {
	by := c.Cosign3
	by.SigningConfig = false
	return sign(by, services, append(args, []string{"--new-bundle-format=false", "--use-signing-config=false"}))
}

func sign(by clients.Cosign, services clients.Services, args [][]string) step {
	return func(t *testing.T, _ *registrytest.Registry, image registrytest.Image) {
		t.Helper()
		if err := by.Sign(t.Context(), services, image.ByDigest(), slices.Concat(args...)...); err != nil {
			t.Fatal(err)
		}
	}
}

// moveTag has the image's tag stand for another image.
func moveTag(t *testing.T, on *registrytest.Registry, image registrytest.Image) {
	t.Helper()
	on.Push(t, image.Repository+":"+image.Tag)
}

// signature and attestation are commands of the clients.
var (
	signature = []string{"sign"}
	bundled   = []string{"--new-bundle-format"} // is cosign 3's default
)

func annotation(text string) []string { return []string{"-a", text} }

func (c *cosigns) attestation(predicateType string) []string {
	return []string{"attest", "--type", predicateType, "--predicate", c.predicate}
}
