//go:build integration

package integration

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/test/clients"
)

// story is what the real clients do to a repository of a real notary server, and
// how Pods of it are answered.
type story struct {
	name   string
	with   string  // the rule's settings; the first root key if empty
	hub    bool    // whether it is at Docker Hub, and Pods have its short name
	before []event // before the rule is in force
	then   []event
}

// event is something that happens. The error is what is not as it should be.
type event func(ctx context.Context, r *notarized) error

// notarized is the repository of a story.
type notarized struct {
	gun       string // the whole name
	image     string // the name that Pods have
	namespace string // of the Pods
	server    *clients.Notary
	owner     *clients.NotaryClient
	signers   map[string]*clients.NotaryClient // by role
	roots     []string                         // keys, from the first to the newest
}

// rootNames are what the root keys of a repository are called in rules.
var rootNames = []string{"first", "second", "third"}

// inForce is an image that is admitted by the rules of stories only.
const inForce = "registry.example.com/notary/in-force:v1"

// tell has all stories happen. One policy has a rule for each, by which nothing
// is remembered from one Pod to the next; the images themselves do not exist.
func tell(t *testing.T, stories []story) {
	t.Helper()
	server := newNotary(t)
	namespace := newNamespace(t, nil)
	repositories := make([]*notarized, len(stories))
	var begin errgroup.Group
	begin.SetLimit(4)
	for i, s := range stories {
		r := &notarized{image: fmt.Sprintf("registry.example.com:5000/%s/%d", namespace, i), namespace: namespace, server: server}
		r.gun = r.image
		if s.hub {
			r.image = fmt.Sprintf("%s-%d", namespace, i)
			r.gun = "docker.io/library/" + r.image
		}
		repositories[i] = r
		begin.Go(func() error {
			return r.happen(t.Context(), append([]event{begins}, s.before...))
		})
	}
	if err := begin.Wait(); err != nil {
		t.Fatal(err)
	}
	configure(t, notaryConfiguration(t, server, stories, repositories))
	clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, namespace, inForce) })
	for i, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			if err := repositories[i].happen(t.Context(), s.then); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func newNotary(t *testing.T) *clients.Notary {
	t.Helper()
	server, err := clients.StartNotary(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func (r *notarized) happen(ctx context.Context, events []event) error {
	for i, e := range events {
		if err := e(ctx, r); err != nil {
			return fmt.Errorf("%s, event %d: %w", r.gun, i+1, err)
		}
	}
	return nil
}

// notaryConfiguration is the base with a validator and a rule for each story, and
// a rule for inForce.
func notaryConfiguration(t *testing.T, server *clients.Notary, stories []story, repositories []*notarized) configuration {
	t.Helper()
	validators := base[policyName]["validators"]
	rules := fmt.Sprintf("- {pattern: %q, validator: allow}\n", inForce)
	for i, r := range repositories {
		roots := fmt.Sprintf("{name: stranger, key: %q}", registrytest.PublicPEM(t, stranger))
		for n, key := range r.roots {
			roots += fmt.Sprintf(", {name: %s, key: %q}", rootNames[n], key)
		}
		validators += fmt.Sprintf("- {name: notary-%d, type: notaryv1, host: %q, cert: %q, trustRoots: [%s]}\n", i, server.Host, server.CA, roots)
		rules += fmt.Sprintf("- {pattern: %q, validator: notary-%d, with: {%s}}\n", r.gun+"{,/*}:*", i, cmp.Or(stories[i].with, "trustRoot: first"))
	}
	return base.with(rules).
		set(policyName, "validators", validators).
		set(policyName, "registries", base[policyName]["registries"]+fmt.Sprintf("- {host: %q, insecure: true}\n", server.Host)).
		set(featuresName, "cache.expirySeconds", "0")
}

// admits wants a Pod of the image to be stored with a digest. What follows the
// image's name is given: ":v1", "@sha256:…".
func admits(suffix, digest string) event {
	return func(ctx context.Context, r *notarized) error {
		pod, err := cluster.CoreV1().Pods(r.namespace).Create(ctx, newPod("notary-", r.image+suffix), metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("%s: %w", suffix, err)
		}
		want := r.image + cmp.Or(suffix, ":latest")
		if !strings.Contains(suffix, "@") {
			want += "@" + digest
		}
		if got := pod.Spec.Containers[0].Image; got != want || !strings.HasSuffix(got, digest) {
			return fmt.Errorf("the stored image is %s, not %s", got, want)
		}
		return nil
	}
}

// denies wants a Pod of the image to be denied by a message with all of this.
func denies(suffix string, texts ...string) event {
	return func(ctx context.Context, r *notarized) error {
		_, err := cluster.CoreV1().Pods(r.namespace).Create(ctx, newPod("notary-", r.image+suffix), metav1.CreateOptions{})
		if complaint := clustertest.Denied(err, texts...); complaint != nil {
			return fmt.Errorf("%s: %w", suffix, complaint)
		}
		return nil
	}
}

// findsNone wants a Pod of the image to be denied because nobody has signed it.
func findsNone(suffix string, texts ...string) event {
	return func(ctx context.Context, r *notarized) error {
		return denies(suffix, append(texts, "NoSignature", "Unable to find signed digest for image "+r.image+suffix)...)(ctx, r)
	}
}
