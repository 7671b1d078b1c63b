// Package static is the validator that gives every image the same answer,
// without asking anybody: allow, or deny.
package static

import (
	"context"
	"maps"
	"slices"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Type is the validator's type in the configuration.
const Type = "static"

// Static is a configured static validator. The zero value denies.
type Static struct {
	approve bool
	name    string
}

// New reads the validator's settings.
func New(name string, settings strict.Object) (*Static, strict.Errors) {
	var config struct {
		Approve *bool `config:"approve"`
	}
	errs := settings.Decode(&config)
	if config.Approve == nil {
		if len(errs) == 0 {
			errs.Add(settings.Key("approve"), "is missing; it must be true or false")
		}
		return nil, errs
	}
	return &Static{approve: *config.Approve, name: name}, errs
}

// Bind takes the settings of a rule; there are none.
func (s *Static) Bind(with strict.Object) (validator.Validator, strict.Errors) {
	var errs strict.Errors
	for _, key := range slices.Sorted(maps.Keys(with.Fields)) {
		errs.Add(with.Key(key), "unknown key; a validator of type %s, such as %q, takes no such setting, since it asks for no signature", Type, s.name)
	}
	return s, errs
}

// Fingerprint tells the two answers apart.
func (s *Static) Fingerprint() string {
	if s.approve {
		return Type + " allow"
	}
	return Type + " deny"
}

// Validate gives the answer.
func (s *Static) Validate(context.Context, validator.Request) (validator.Result, error) {
	if s.approve {
		return validator.Result{Allowed: true}, nil
	}
	return validator.Result{}, validator.Errorf(validator.PolicyDenied, "the policy denies this image, whoever signed it")
}
