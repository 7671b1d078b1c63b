package config_test

import (
	"context"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const sharedKey = "0123456789abcdef0123456789abcdef"

func TestTheSharedCacheOfTheConfiguration(t *testing.T) {
	t.Parallel()
	valid := entries{"cache.shared.url": "rediss://redis", "cache.shared.secretName": "redis"}
	with := func(key, value string) entries {
		changed := entries{key: value}
		for k, v := range valid {
			if _, ok := changed[k]; !ok {
				changed[k] = v
			}
		}
		return changed
	}
	for name, c := range map[string]struct {
		data     entries
		secret   entries
		errs     []string
		warnings []string
	}{
		"none":                  {data: entries{}},
		"a Redis and a Secret":  {data: valid, secret: entries{"key": sharedKey}},
		"in one key":            {data: entries{"cache": "{shared: {url: 'rediss://redis', secretName: redis}}"}, secret: entries{"key": sharedKey}},
		"a Secret, and no URL":  {data: entries{"cache.shared.secretName": "redis"}, errs: []string{"config-features: cache.shared.url: is missing"}},
		"T38: a URL, no Secret": {data: entries{"cache.shared.url": "rediss://redis"}, errs: []string{"config-features: cache.shared.secretName: is missing: it names the Secret with the key that entries are authenticated with"}},
		"no URL of a Redis":     {data: with("cache.shared.url", "https://redis"), errs: []string{"config-features: cache.shared.url: must be rediss://HOST"}},
		"no TLS":                {data: with("cache.shared.url", "redis://redis"), errs: []string{"config-features: cache.shared.url: begins with redis://, which is not encrypted; use rediss://, or set cache.shared.insecurePlaintext"}},
		"no TLS, on purpose": {data: entries{"cache.shared.url": "redis://redis", "cache.shared.secretName": "redis", "cache.shared.insecurePlaintext": "true"}, secret: entries{"key": sharedKey},
			warnings: []string{"config-features: cache.shared.insecurePlaintext: whoever is on the way to Redis"}},
		"no TLS, and TLS":    {data: with("cache.shared.insecurePlaintext", "true"), errs: []string{"config-features: cache.shared.insecurePlaintext: is true, but rediss://"}, warnings: []string{"cache.shared.insecurePlaintext"}},
		"a misspelled key":   {data: with("cache.shared.secretnam", "redis"), secret: entries{"key": sharedKey}, errs: []string{`config-features: cache.shared.secretnam: unknown key; did you mean "secretName"?`}},
		"nothing remembered": {data: with("cache.expirySeconds", "0"), secret: entries{"key": sharedKey}, warnings: []string{"config-features: cache.shared: has no effect"}},
		// What is in a Secret is no reason to refuse a policy, and T38: never a reason to go without a key.
		"T38: no such Secret": {data: valid, warnings: []string{"config-features: cache.shared.secretName: Secret connaisseur/redis does not exist; meanwhile each replica verifies by itself"}},
		"T38: no key":         {data: valid, secret: entries{"password": "hunter2"}, warnings: []string{"config-features: cache.shared.secretName: Secret redis cannot be used: its entry key, by which"}},
		"T38: a short key":    {data: valid, secret: entries{"key": "hunter2"}, warnings: []string{"has 7 bytes, but must have at least 32"}},
		"no certificate":      {data: valid, secret: entries{"key": sharedKey, "ca.crt": "hunter2"}, warnings: []string{"its entry ca.crt has no PEM certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := objects(policyOf("- {name: allow, type: static, approve: true}\n", "- {pattern: 'example.org/*', validator: allow}\n"), features(c.data))
			if c.secret != nil {
				o = objects(o.ConfigMaps[config.PolicyName], o.ConfigMaps[config.FeaturesName], secret("redis", c.secret))
			}
			built := builder().Build(o)
			wantTexts(t, built.Errors, c.errs...)
			wantTexts(t, built.Warnings, c.warnings...)
			if strings.Contains(built.Warnings.Error()+built.Errors.Error(), "hunter2") {
				t.Error("what is in a Secret is repeated")
			}
		})
	}
}

// A change of the Secret is noticed, and changes the revision that results are bound
// to; what is refused changes nothing.
func TestTheSecretOfTheSharedCacheIsFollowed(t *testing.T) {
	t.Parallel()
	store, replicas := config.NewStore(builder()), &shared.Cache{}
	t.Cleanup(replicas.Close)
	var revisions []string
	store.OnChange(func(c config.Change) {
		revisions = append(revisions, c.Snapshot.Revision)
		replicas.Apply(c.SharedCache, "cluster", zap.NewNop())
	})
	data := features(entries{"cache.shared.url": "rediss://127.0.0.1:1", "cache.shared.secretName": "redis"})
	for i, o := range []config.Objects{
		objects(allowing(), data),
		objects(allowing(), data, secret("redis", entries{"key": sharedKey})),
		objects(allowing(), data, secret("redis", entries{"key": sharedKey + "x"})),
		objects(allowing(), features(entries{"cache.shared.url": "x"}), secret("redis", entries{"key": sharedKey})),
	} {
		store.Offer(o)
		if len(revisions) != i+1 || !replicas.Use().Configured {
			t.Fatalf("%d: revisions %v, %+v", i, revisions, replicas.Use())
		}
	}
	if r := revisions; r[0] == r[1] || r[1] == r[2] || r[2] != r[3] {
		t.Errorf("revisions %v", r)
	}
	store.Offer(objects(allowing(), features(nil)))
	if replicas.Use().Configured {
		t.Error("it is not taken out")
	}
}

// pool is a cache that replicas share.
type pool map[cache.Name]cache.Established

func (p pool) Load(_ context.Context, name cache.Name) (cache.Established, bool) {
	e, ok := p[name]
	return e, ok
}

func (p pool) Store(names []cache.Name, e cache.Established) {
	for _, name := range names {
		p[name] = e
	}
}

func (p pool) Forget(name cache.Name) { delete(p, name) }

// T38: a changed key takes away what a replica has borrowed under the one before, and
// another edit does not.
func TestT38AChangedKeyForgetsWhatWasBorrowed(t *testing.T) {
	t.Parallel()
	reg, key := registrytest.New(t), registrytest.Key(t)
	signed := reg.Push(t, "app:v1")
	reg.Sign(t, signed, key)
	ref, err := image.Parse(signed.String())
	if err != nil {
		t.Fatal(err)
	}
	policy := cosignPolicy("configmap://config-trust-roots/key.pub")
	policy.Data["registries"] = "- {host: '" + reg.Host() + "', insecure: true}\n"
	p, roots := pool{}, trustRoots(entries{"key.pub": string(registrytest.PublicPEM(t, key))})
	verify := func(b *config.Builder, key, detection string) bool {
		t.Helper()
		data := entries{"cache.shared.url": "rediss://redis", "cache.shared.secretName": "redis", "detectionMode": detection}
		built := b.Build(objects(policy, features(data), roots, secret("redis", entries{"key": key})))
		if len(built.Errors) > 0 {
			t.Fatal(built.Errors)
		}
		result, err := built.Snapshot.Rules[0].Validator.Validate(t.Context(), validator.Request{Image: ref})
		if err != nil {
			t.Fatal(err)
		}
		return result.Cached
	}
	replica := func() *config.Builder {
		results := cache.New(cache.Options{})
		results.Share(p)
		return config.NewBuilder(results)
	}
	ours := replica()
	if verify(replica(), sharedKey, "false") || !verify(ours, sharedKey, "false") || !verify(ours, sharedKey, "true") {
		t.Error("it is not borrowed, or not kept")
	}
	if verify(ours, sharedKey+"another", "true") {
		t.Error("what was borrowed under the key before is still used")
	}
}

// T38: what is shared is bound to the configuration that it was verified by, and with
// one that shares nothing, nothing is.
func TestT38WhatIsSharedIsBoundToTheConfiguration(t *testing.T) {
	t.Parallel()
	reg, key := registrytest.New(t), registrytest.Key(t)
	signed := reg.Push(t, "app:v1")
	reg.Sign(t, signed, key)
	ref, err := image.Parse(signed.String())
	if err != nil {
		t.Fatal(err)
	}
	policy := cosignPolicy("configmap://config-trust-roots/key.pub")
	policy.Data["registries"] = "- {host: '" + reg.Host() + "', insecure: true}\n"
	sharing := entries{"cache.shared.url": "rediss://redis", "cache.shared.secretName": "redis"}
	p := pool{}
	verify := func(data entries, key string) validator.Result {
		t.Helper()
		results := cache.New(cache.Options{})
		results.Share(p)
		built := config.NewBuilder(results).Build(objects(policy, features(data), trustRoots(entries{"key.pub": key}), secret("redis", entries{"key": sharedKey})))
		if len(built.Errors) > 0 {
			t.Fatal(built.Errors)
		}
		result, err := built.Snapshot.Rules[0].Validator.Validate(t.Context(), validator.Request{Image: ref})
		if err == nil && result.Digest == "" {
			t.Error("nothing was verified")
		}
		for name := range p {
			if len(data) < 3 && name.Revision != built.Snapshot.Revision {
				t.Errorf("revision %s, want %s", name.Revision, built.Snapshot.Revision)
			}
		}
		return result
	}
	pem := string(registrytest.PublicPEM(t, key))
	if verify(entries{}, pem); len(p) != 0 {
		t.Error("it is shared without being configured")
	}
	if verify(sharing, pem); len(p) != 3 {
		t.Errorf("%d entries", len(p))
	}
	if !verify(sharing, pem).Cached {
		t.Error("another replica verifies again")
	}
	sharing["detectionMode"] = "false" // the same in other words
	if verify(sharing, pem).Cached {
		t.Error("what was shared before an edit is taken after it")
	}
	if got := verify(sharing, string(registrytest.PublicPEM(t, registrytest.Key(t)))); got.Digest != "" {
		t.Errorf("another key: %+v", got)
	}
}
