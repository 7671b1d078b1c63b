package observability_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/observabilitytest"
)

func TestDecisionsAreCounted(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	instruments.Admission(t.Context(), "/mutate", "Denied", "NoSignature", time.Second)
	instruments.Admission(t.Context(), "/mutate", "Denied", "NoSignature", time.Second)
	instruments.Admission(t.Context(), "/validate", "Trusted", "", time.Second)
	instruments.Image(t.Context(), observability.Image{Outcome: "Trusted", ValidatorType: "cosign", ValidatorName: "default", Cached: true})
	instruments.Image(t.Context(), observability.Image{Outcome: "Denied", Reason: "NoMatchingRule"})
	want := observabilitytest.Values{
		"connaisseur.admissions{outcome=Denied,reason=NoSignature,webhook=/mutate}":          2,
		"connaisseur.admissions{outcome=Trusted,reason=,webhook=/validate}":                  1,
		"connaisseur.images{cache=hit,outcome=Trusted,reason=,validator=cosign}":             1,
		"connaisseur.images{cache=miss,outcome=Denied,reason=NoMatchingRule,validator=none}": 1,

		"connaisseur.admission.duration{outcome=Denied,reason=NoSignature,webhook=/mutate}": 2,
		"connaisseur.admission.duration{outcome=Trusted,reason=,webhook=/validate}":         1,
		"connaisseur.image.duration{cache=hit,validator=cosign}":                            1,
		"connaisseur.image.duration{cache=miss,validator=none}":                             1,
	}
	got := values().Only("connaisseur.admission")
	maps.Copy(got, values().Only("connaisseur.image"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// What Connaisseur 3 would have counted.
func TestTheNamesOfConnaisseur3AreServed(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	for range 3 {
		instruments.PredecessorRequest(true, false)
	}
	instruments.PredecessorRequest(false, false)
	instruments.PredecessorRequest(false, true)
	hub := observability.Image{ValidatorType: "notaryv1", ValidatorName: "dockerhub"}
	instruments.PredecessorImage(hub, true, false, false)
	instruments.PredecessorImage(hub, true, true, false)
	instruments.PredecessorImage(hub, false, false, false)
	instruments.PredecessorImage(hub, false, false, true)
	hub.Cached = true
	instruments.PredecessorImage(hub, true, false, false)
	instruments.PredecessorImage(observability.Image{}, false, false, false)
	of := "type=notaryv1,validator_name=dockerhub}"
	want := observabilitytest.Values{
		"connaisseur.requests{}":                                                                   5,
		"connaisseur.requests.admitted{}":                                                          3,
		"connaisseur.requests.denied{timeout=false}":                                               1,
		"connaisseur.requests.denied{timeout=true}":                                                1,
		"connaisseur.validations{result=success," + of:                                             3,
		"connaisseur.validations{result=error," + of:                                               2,
		"connaisseur.validations.successful{" + of:                                                 3,
		"connaisseur.validations.failed{" + of:                                                     1,
		"connaisseur.validations.timeouted{" + of:                                                  1,
		"connaisseur.validations.skipped{reason=cache hit," + of:                                   1,
		"connaisseur.validations.skipped{reason=automatic approval of child image reference," + of: 1,
		"connaisseur.validations{result=error,type=unknown,validator_name=}":                       1,
		"connaisseur.validations.failed{type=unknown,validator_name=}":                             1,
	}
	got := values().Only("connaisseur.requests")
	maps.Copy(got, values().Only("connaisseur.validations"))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

func TestTheConfigurationInForceIsTold(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	if got := values().Only("connaisseur.config."); len(got) > 0 {
		t.Errorf("before there is one: %v", got)
	}
	before := float64(time.Now().UnixMilli()) / 1000
	instruments.Reload(t.Context(), observability.Applied, "r1", time.Second)
	instruments.Reload(t.Context(), observability.Applied, "r2", time.Second)
	instruments.InForce([]observability.Expiry{{Validator: "default", TrustRoot: "ca", At: time.Unix(2e9, 0)}}, nil)
	check := func(revision string, success float64, reloads map[string]float64) {
		t.Helper()
		all := values()
		if age := all["connaisseur.config.age{}"]; age <= 0 || age > 60 {
			t.Errorf("age %v", age)
		}
		if at := all["connaisseur.config.last_reload.timestamp{}"]; at < before || at > before+60 {
			t.Errorf("last reload at %v, want %v", at, before)
		}
		delete(all, "connaisseur.config.age{}")
		delete(all, "connaisseur.config.last_reload.timestamp{}")
		want := observabilitytest.Values{
			"connaisseur.config.info{revision=" + revision + "}": 1,
			"connaisseur.config.last_reload.success{}":           success,
		}
		for result, n := range reloads {
			want["connaisseur.config.reloads{result="+result+"}"] = n
			want["connaisseur.config.reload.duration{result="+result+"}"] = n
		}
		if diff := cmp.Diff(2e9, all["connaisseur.trust.expiry.timestamp{trust_root=ca,validator=default}"]); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, all.Only("connaisseur.config.")); diff != "" {
			t.Errorf("metrics (-want +got):\n%s", diff)
		}
	}
	check("r2", 1, map[string]float64{"applied": 2})
	instruments.Reload(t.Context(), observability.Rejected, "r2", time.Second)
	check("r2", 0, map[string]float64{"applied": 2, "rejected": 1})
	instruments.Reload(t.Context(), observability.Restored, "r1", time.Second)
	check("r1", 0, map[string]float64{"applied": 2, "rejected": 1, "restored": 1})
}

func TestRegistriesAreMeasured(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	for _, r := range []observability.RegistryRequest{
		{Host: "docker.io", Kind: "manifests", Answered: true, Took: time.Millisecond},
		{Host: "docker.io", Kind: "manifests", Answered: true, Reason: "RegistryThrottled"},
		{Host: "typo.example", Kind: "ping", Reason: "RegistryUnavailable"},
	} {
		instruments.RegistryRequest(t.Context(), r)
	}
	want := observabilitytest.Values{
		"connaisseur.registry.requests{host=docker.io,kind=manifests}":                        2,
		"connaisseur.registry.requests{host=other,kind=ping}":                                 1,
		"connaisseur.registry.request.duration{host=docker.io}":                               2,
		"connaisseur.registry.request.duration{host=other}":                                   1,
		"connaisseur.registry.errors{host=docker.io,kind=manifests,reason=RegistryThrottled}": 1,
		"connaisseur.registry.errors{host=other,kind=ping,reason=RegistryUnavailable}":        1,
	}
	if diff := cmp.Diff(want, values().Only("connaisseur.registry.")); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}

// Anybody who may create a Pod can name hosts, and have them answer.
func TestHostsAreBounded(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	instruments.InForce(nil, []string{"registry.example.com"})
	for n := range 1000 {
		instruments.RegistryRequest(t.Context(), observability.RegistryRequest{Host: fmt.Sprintf("%d.evil.example", n), Kind: "ping", Answered: true})
	}
	instruments.RegistryRequest(t.Context(), observability.RegistryRequest{Host: "registry.example.com", Kind: "ping"})
	got := values().Only("connaisseur.registry.requests")
	if len(got) != 34 {
		t.Errorf("%d hosts, want 32, one that is configured, and other", len(got))
	}
	if n := got["connaisseur.registry.requests{host=registry.example.com,kind=ping}"]; n != 1 {
		t.Errorf("%v requests to the registry that is configured, want 1", n)
	}
	if n := got["connaisseur.registry.requests{host=other,kind=ping}"]; n != 1000-32 {
		t.Errorf("%v requests to others, want %d", n, 1000-32)
	}
}

func TestTheCacheIsMeasured(t *testing.T) {
	t.Parallel()
	instruments, values := observabilitytest.Measured(t)
	instruments.WatchCache(func() observability.CacheUse {
		return observability.CacheUse{Hits: 3, Misses: 2, Entries: 5, Bytes: 2048}
	})
	want := observabilitytest.Values{
		"connaisseur.cache.requests{result=hit}":  3,
		"connaisseur.cache.requests{result=miss}": 2,
		"connaisseur.cache.entries{}":             5,
		"connaisseur.cache.size{}":                2048,
	}
	if diff := cmp.Diff(want, values().Only("connaisseur.cache.")); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
}
