package config

import "github.com/sse-secure-systems/connaisseur/pkg/validator"

// reached is a validator with the settings for registries: which digest a tag
// stands for is what a mirror says, or whoever is on the way to an insecure
// registry, so that nothing learnt from them must outlive those settings.
type reached struct {
	validator.Validator
	by string
}

// Fingerprint covers the settings for registries too.
func (r reached) Fingerprint() string { return r.Validator.Fingerprint() + " by " + r.by }

// Holds implements validator.Witness.
func (r reached) Holds(req validator.Request, seen string) bool {
	return validator.Holds(r.Validator, req, validator.Result{Seen: seen})
}
