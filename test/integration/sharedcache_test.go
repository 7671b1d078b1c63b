//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/redistest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// is waits until a metric has a value, or a greater one.
func (w webhook) is(t *testing.T, name, label string, want func(float64) bool) {
	t.Helper()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		got, err := w.values(ctx, name, label)
		if err == nil && !want(got) {
			err = fmt.Errorf("%s{%s} is %v", name, label, got)
		}
		return err
	})
}

// One replica after the other has what the first has verified, and each goes on
// without Redis.
func TestReplicasShareWhatTheyHaveVerified(t *testing.T) {
	redis, registry := redistest.Start(t), registrytest.New(t)
	image := registry.Push(t, "team/shared:v1")
	registry.Sign(t, image, ours)
	c := base.with(fmt.Sprintf("- {pattern: %q, validator: ours, with: {verifyInTransparencyLog: false}}\n", registry.Host()+"/team/*:*")).
		set(featuresName, "cache.expirySeconds", "600").
		set(featuresName, "cache.shared.url", redis.URL()).
		set(featuresName, "cache.shared.secretName", "redis")
	configure(t, c.set(policyName, "registries", c[policyName]["registries"]+fmt.Sprintf("- {host: %q, insecure: true}\n", registry.Host())))

	up := func(is float64) func(float64) bool { return func(got float64) bool { return got == is } }
	hook.is(t, "connaisseur_cache_shared_up", "", up(0)) // without its Secret
	secrets := cluster.CoreV1().Secrets(ownNamespace)
	t.Cleanup(func() { _ = secrets.Delete(context.Background(), "redis", metav1.DeleteOptions{}) })
	create(t, secrets.Create, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "redis"}, Data: redis.Secret()})
	hook.is(t, "connaisseur_cache_shared_up", "", up(1))

	if err := try(t.Context(), "default", image.String()); err != nil {
		t.Fatal(err)
	}
	hook.is(t, "connaisseur_cache_shared_writes_total", `result="stored"`, func(n float64) bool { return n >= 3 })
	hook.restart(t) // as good as another replica
	hook.is(t, "connaisseur_cache_shared_up", "", up(1))
	registry.Reset()
	if err := try(t.Context(), "default", image.String(), image.Pinned(), image.ByDigest()); err != nil {
		t.Error(err)
	}
	if requests := registry.Requests(); requests.Total() != 0 {
		t.Errorf("the registry was asked again: %v", requests)
	}
	hook.is(t, "connaisseur_cache_shared_requests_total", `result="hit"`, func(n float64) bool { return n >= 1 })

	redis.Kill()
	hook.is(t, "connaisseur_cache_shared_up", "", up(0))
	other := registry.Push(t, "team/shared:v2")
	registry.Sign(t, other, ours)
	if err := try(t.Context(), "default", other.String()); err != nil {
		t.Error(err)
	}
	wantDenied(t, try(t.Context(), "default", registry.Push(t, "team/shared:v3").String()), "NoSignature")
}
