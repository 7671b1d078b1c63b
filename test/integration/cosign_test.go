//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/test/clients"
)

// cosigns are the real clients, with a Sigstore of real servers and what they
// sign with. They run from the first test that needs them to the end of all.
type cosigns struct {
	once sync.Once
	err  error

	*clients.Sigstore
	ours, stranger, me, other []string // flags: two keys, two identities
	public                    []byte   // of our key
	predicate                 string   // a file
}

// The identities.
const (
	me    = "me@example.com"
	other = "other@example.com"
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

// predicateType is of the attestations that tests make.
const predicateType = "https://example.com/tested/v1"

var real cosigns

func realCosigns(t *testing.T) *cosigns {
	t.Helper()
	real.once.Do(func() { real.err = real.start(context.Background()) })
	if real.err != nil {
		t.Fatal(real.err)
	}
	return &real
}

func (c *cosigns) start(ctx context.Context) (err error) {
	if c.Sigstore, err = clients.Start(ctx); err != nil {
		return err
	}
	ours, public, err := c.NewKey(ctx, "ours")
	if err != nil {
		return err
	}
	stranger, _, err := c.NewKey(ctx, "stranger")
	if err != nil {
		return err
	}
	myToken, err := c.Token(me)
	if err != nil {
		return err
	}
	otherToken, err := c.Token(other)
	if err != nil {
		return err
	}
	c.ours, c.stranger, c.public = []string{"--key", ours}, []string{"--key", stranger}, public
	c.me, c.other = []string{"--identity-token", myToken}, []string{"--identity-token", otherToken}
	c.predicate, err = c.File("predicate.json", `{"passed": true, "failures": 0}`)
	return err
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

// attempt is an image to be, what is done to it, and the answer to a Pod of it.
type attempt struct {
	name      string
	validator string // "cosigns" if empty
	with      string // the rule's settings
	referrers bool   // whether the registry has the referrers API
	index     bool   // whether the image is for two platforms
	steps     []step
	denied    []string // what the denial says; the Pod is admitted if empty
}

// answer makes all images, asks for a Pod of each, and compares. One policy has
// a rule for each.
func (c *cosigns) answer(t *testing.T, attempts []attempt) {
	plain, referring := registrytest.New(t), registrytest.New(t, registrytest.Referrers())
	registryOf := func(a attempt) *registrytest.Registry {
		if a.referrers {
			return referring
		}
		return plain
	}
	rules := ""
	images := make([]registrytest.Image, len(attempts))
	for i, a := range attempts {
		on := registryOf(a)
		name := fmt.Sprintf("cosigns/%d:v1", i)
		if a.index {
			images[i], _ = on.PushIndex(t, name, "linux/amd64", "linux/arm64")
		} else {
			images[i] = on.Push(t, name)
		}
		validator := a.validator
		if validator == "" {
			validator = "cosigns"
		}
		rules += fmt.Sprintf("- {pattern: %q, validator: %s, with: {%s}}\n", images[i].Name()+":*", validator, a.with)
	}
	configure(t, c.configuration(rules, plain, referring))
	within(t, promised, func(ctx context.Context) error {
		if now, err := hook.revision(ctx); err != nil || now == baseRevision {
			return errors.Join(errors.New("the base policy is in force"), err)
		}
		return nil
	})
	namespace := newNamespace(t, nil)
	for i, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			for _, step := range a.steps {
				step(t, registryOf(a), images[i])
			}
			pod, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), newPod("cosign-", images[i].String()), metav1.CreateOptions{})
			if len(a.denied) > 0 {
				wantDenied(t, err, a.denied...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantPinned(t, pod, images[i])
		})
	}
}

func wantPinned(t *testing.T, pod *corev1.Pod, image registrytest.Image) {
	t.Helper()
	if got := pod.Spec.Containers[0].Image; got != image.Pinned() {
		t.Errorf("the stored image is %s, not %s", got, image.Pinned())
	}
}

// configuration is the base with the clients' keys and services, and rules.
// A validator has the trusted_root.json, and one for each version of Rekor has
// pieces of it.
func (c *cosigns) configuration(rules string, registries ...*registrytest.Registry) configuration {
	roots := fmt.Sprintf(`
  trustRoots:
    - {name: default, key: "configmap://config-trust-roots/cosigns.pub"}
    - {name: me, keyless: {issuer: %q, subject: %s}}
    - {name: elsewhere, keyless: {issuer: "https://elsewhere.example.com", subject: %s}}
    - {name: colleagues, keyless: {issuerRegex: "http://127[.]0[.]0[.]1:[0-9]+", subjectRegex: ".*@example[.]com"}}
`, c.Issuer, me, me)
	pieces := func(url string, key []byte) string {
		return fmt.Sprintf("{rekor: %q, rekorPubkey: %q, fulcioCert: %q, ctLogPubkey: %q, tsaCert: %q}", url, key, c.FulcioChain, c.CTLogKey, c.TSAChain)
	}
	validators := base[policyName]["validators"]
	for name, host := range map[string]string{
		"cosigns": `{trustedRoot: "configmap://config-trust-roots/trusted_root.json"}`,
		"pieces":  pieces(c.RekorURL, c.RekorKey),
		"tiles":   pieces(c.RekorTilesURL, c.RekorTilesKey),
	} {
		validators += fmt.Sprintf("\n- name: %s\n  type: cosign%s  host: %s\n", name, roots, host)
	}
	var insecure strings.Builder
	for _, r := range registries {
		fmt.Fprintf(&insecure, "- {host: %q, insecure: true}\n", r.Host())
	}
	return base.with(rules).
		set(policyName, "validators", validators).
		set(policyName, "registries", base[policyName]["registries"]+insecure.String()).
		set(trustRootsName, "cosigns.pub", string(c.public)).
		set(trustRootsName, "trusted_root.json", string(c.TrustedRoot))
}
