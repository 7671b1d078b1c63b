package config

import (
	"fmt"

	"github.com/sse-secure-systems/connaisseur/pkg/cache/shared"
	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

const sharedCacheKey = "cache.shared"

// parseSharedCache reads where the cache is that replicas share. What is wrong with
// its Secret is a warning, and switches it off: nothing needs it, and a policy must
// not be refused for its sake. What is wrong with the ConfigMap is an error as
// anywhere else.
func parseSharedCache(f feature.Cache, source builtin.SecretSource) (settings shared.Settings, warnings, errs strict.Errors) {
	at := strict.Object{Path: sharedCacheKey}
	if f.Shared.URL == "" {
		if f.Shared.SecretName != "" || f.Shared.InsecurePlaintext {
			errs.Add(at.Key("url"), "is missing")
		}
		return settings, nil, errs.From(FeaturesName)
	}
	target, err := shared.ParseURL(f.Shared.URL)
	switch {
	case err != nil:
		errs.Add(at.Key("url"), "%v", err)
	case target.Plain && !f.Shared.InsecurePlaintext:
		errs.Add(at.Key("url"), "begins with redis://, which is not encrypted; use rediss://, or set %s.insecurePlaintext", sharedCacheKey)
	case !target.Plain && f.Shared.InsecurePlaintext:
		errs.Add(at.Key("insecurePlaintext"), "is true, but rediss:// in %s.url is encrypted", sharedCacheKey)
	}
	if f.Shared.SecretName == "" {
		errs.Add(at.Key("secretName"), "is missing: it names the Secret with the key that entries are authenticated with")
	}
	if len(errs) > 0 {
		return settings, nil, errs.From(FeaturesName)
	}
	entries, err := source.SecretEntries(f.Shared.SecretName)
	if err == nil {
		if settings, err = shared.New(target, entries); err != nil {
			err = fmt.Errorf("Secret %s cannot be used: %w", f.Shared.SecretName, err)
		}
	}
	if err != nil {
		settings = shared.Without(err)
		warnings.Add(at.Key("secretName"), "%v; meanwhile each replica verifies by itself", err)
	}
	if f.Expiry() == 0 {
		warnings.Add(at.Path, "has no effect: with cache.expirySeconds at 0 nothing is remembered, and so nothing shared")
	}
	return settings, warnings.From(FeaturesName), nil
}
