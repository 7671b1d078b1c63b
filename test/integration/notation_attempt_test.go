//go:build integration

package integration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/test/clients"
)

// notations are the real client of the Notary Project and who uses it: people with
// certificates of ca, which is trusted, and of other, which is not.
type notations struct {
	*clients.Notation
	ca, other    *notationtest.Authority
	me, stranger *notationtest.Signer

	// Those of ca, for certificates that name them: one that answers, one that breaks
	// every connection off, and one that never says anything.
	revocations, broken, silent *notationtest.Revocations

	stamper *notationtest.TimestampAuthority
	stamped []string // flags for a timestamp of it
}

func realNotations(t *testing.T) *notations {
	t.Helper()
	client, err := clients.FindNotation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	n := &notations{
		Notation: client, ca: notationtest.New(t, "Example CA"), other: notationtest.New(t, "Other CA"), stamper: notationtest.NewTimestampAuthority(t),
	}
	n.me, n.stranger = n.ca.Signer(t, "me"), n.other.Signer(t, "me")
	n.revocations, n.broken, n.silent = n.ca.Revocations(t), n.ca.Revocations(t), n.ca.Revocations(t)
	n.broken.Answer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	n.silent.Answer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }))
	n.stamped = n.stampedBy(t, n.stamper)
	return n
}

// stampedBy serves a timestamp authority and gives the flags for it.
func (n *notations) stampedBy(t *testing.T, authority *notationtest.TimestampAuthority) []string {
	t.Helper()
	server := httptest.NewServer(authority)
	t.Cleanup(server.Close)
	file, err := n.File("tsa.pem", authority.Root.PEM())
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--timestamp-url", server.URL, "--timestamp-root-cert", file}
}

// notationAttempt is an image to be, what is done to it, and the answer to a Pod of
// it.
type notationAttempt struct {
	name      string
	referrers bool   // whether the registry has the referrers API
	index     bool   // whether the image is for two platforms
	roots     string // of the validator; the one authority if empty
	settings  string // more of the validator
	with      string // the rule's settings
	steps     []notationStep
	denied    []string // what the denial says; the Pod is admitted if empty
	warned    []string // what the only warning says; there must be none if empty
}

// notationStep is something that is done to an image. No step of another image is
// waited for.
type notationStep func(ctx context.Context, on *registrytest.Registry, image registrytest.Image) error

// signs has somebody sign, as notation does with these flags.
func (n *notations) signs(who *notationtest.Signer, flags ...string) notationStep {
	return func(ctx context.Context, _ *registrytest.Registry, image registrytest.Image) error {
		client, err := n.Signer(who)
		if err != nil {
			return err
		}
		return client.Sign(ctx, image.ByDigest(), flags...)
	}
}

// signsBriefly has somebody sign whose certificate has expired afterwards.
func (n *notations) signsBriefly(flags ...string) notationStep {
	return func(ctx context.Context, on *registrytest.Registry, image registrytest.Image) error {
		now := time.Now()
		who := n.ca.Signer(registrytest.Panics, "me", notationtest.Valid(now.Add(-time.Hour), now.Add(4*time.Second)))
		if err := n.signs(who, flags...)(ctx, on, image); err != nil {
			return err
		}
		return past(ctx, who.Chain[0].NotAfter)
	}
}

// signsForASecond has somebody make a signature that has expired afterwards.
func (n *notations) signsForASecond(who *notationtest.Signer) notationStep {
	return func(ctx context.Context, on *registrytest.Registry, image registrytest.Image) error {
		if err := n.signs(who, "--expiry", "1s")(ctx, on, image); err != nil {
			return err
		}
		return past(ctx, time.Now().Add(time.Second))
	}
}

// past waits until a point in time is past.
func past(ctx context.Context, at time.Time) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Until(at) + time.Millisecond):
		return nil
	}
}

// movesTag has the image's tag stand for another image.
func movesTag(_ context.Context, on *registrytest.Registry, image registrytest.Image) error {
	on.Push(registrytest.Panics, image.Repository+":"+image.Tag)
	return nil
}

// answer makes all images, asks for a Pod of each, and compares. One policy has a
// validator and a rule for each.
func (n *notations) answer(t *testing.T, attempts []notationAttempt) {
	t.Helper()
	registries := map[bool]*registrytest.Registry{false: registrytest.New(t), true: registrytest.New(t, registrytest.Referrers())}
	images := prepare(t, attempts, registries)
	configure(t, n.configuration(attempts, images, registries[false].Host(), registries[true].Host(), n.revocations.Host(), n.broken.Host(), n.silent.Host()))
	clustertest.Within(t, promised, func(ctx context.Context) error {
		if now, err := hook.revision(ctx); err != nil || now == baseRevision {
			return errors.Join(errors.New("the base policy is in force"), err)
		}
		return nil
	})
	namespace := newNamespace(t, nil)
	for i, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			a.ask(t, namespace, images[i])
		})
	}
}

// prepare makes the images and does to them what is done, with several at once:
// some wait for something to expire.
func prepare(t *testing.T, attempts []notationAttempt, registries map[bool]*registrytest.Registry) []registrytest.Image {
	t.Helper()
	images := make([]registrytest.Image, len(attempts))
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(8)
	for i, a := range attempts {
		on, name := registries[a.referrers], fmt.Sprintf("notation/%d:v1", i)
		if a.index {
			images[i], _ = on.PushIndex(t, name, "linux/amd64", "linux/arm64")
		} else {
			images[i] = on.Push(t, name)
		}
		group.Go(func() error {
			for _, step := range a.steps {
				if err := step(ctx, on, images[i]); err != nil {
					return fmt.Errorf("%s: %w", a.name, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	return images
}

// ask creates the Pod.
func (a notationAttempt) ask(t *testing.T, namespace string, image registrytest.Image) {
	t.Helper()
	client, heard := attentive(t)
	pod, err := client.CoreV1().Pods(namespace).Create(t.Context(), newPod("notation-", image.String()), metav1.CreateOptions{})
	if len(a.denied) > 0 {
		wantDenied(t, err, a.denied...)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	wantPinned(t, pod, image)
	if want := min(len(a.warned), 1); len(heard.about(a.warned...)) != want || len(heard.texts) != want {
		t.Errorf("%d warnings should say %q, but: %q", want, a.warned, heard.texts)
	}
}

// configuration is the base with a validator and a rule for each image.
func (n *notations) configuration(attempts []notationAttempt, images []registrytest.Image, hosts ...string) configuration {
	validators, rules := base[policyName]["validators"], ""
	for i, a := range attempts {
		roots := cmp.Or(a.roots, "[{name: default, cert: configmap://config-trust-roots/notation.pem}]")
		validators += fmt.Sprintf("- {name: notation-%d, type: notation, trustRoots: %s, %s}\n", i, roots, a.settings)
		rules += fmt.Sprintf("- {pattern: %q, validator: notation-%d, with: {%s}}\n", images[i].Name()+":*", i, a.with)
	}
	var insecure strings.Builder
	for _, host := range hosts {
		fmt.Fprintf(&insecure, "- {host: %q, insecure: true}\n", host)
	}
	return base.with(rules).
		set(policyName, "validators", validators).
		set(policyName, "registries", base[policyName]["registries"]+insecure.String()).
		set(trustRootsName, "notation.pem", n.ca.PEM())
}

// notationRoot is a trust root, with more settings.
func notationRoot(name, certificate string, more ...string) string {
	return fmt.Sprintf("{name: %s, cert: %q, %s}", name, certificate, strings.Join(more, ", "))
}

// notationRoots are those of a validator.
func notationRoots(roots ...string) string { return "[" + strings.Join(roots, ", ") + "]" }
