package cosign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// celCost bounds the evaluation of an expression, in CEL's units: enough for
	// several looks at each of 5,000 findings of a vulnerability report. The
	// library's own accounting grows with the square of it, to a third of a
	// second here.
	celCost = 100_000
	// celInterrupt is after how many steps of a comprehension the deadline is
	// looked at.
	celInterrupt = 100
	// maxAttestations bounds those that one rule may demand.
	maxAttestations = 32
)

// shortNames are what cosign attest --type calls predicate types.
var shortNames = map[string]string{
	"custom":           "https://cosign.sigstore.dev/attestation/v1",
	"vuln":             "https://cosign.sigstore.dev/attestation/vuln/v1",
	"slsaprovenance":   "https://slsa.dev/provenance/v0.2",
	"slsaprovenance02": "https://slsa.dev/provenance/v0.2",
	"slsaprovenance1":  "https://slsa.dev/provenance/v1",
	"spdx":             "https://spdx.dev/Document",
	"spdxjson":         "https://spdx.dev/Document",
	"cyclonedx":        "https://cyclonedx.org/bom",
	"openvex":          "https://openvex.dev/ns",
	"link":             "https://in-toto.io/Link/v1",
}

// attestationConfig is a demanded attestation as the configuration has it.
type attestationConfig struct {
	PredicateType string `config:"predicateType"`
	CEL           string `config:"cel"`
}

// demand is something that the quorum must have signed about an image.
type demand struct {
	what          string // in messages
	predicateType string
	// holds tells whether what was signed is as the rule wants it.
	holds func(context.Context, claim) *validator.Error
}

// compileAttestations compiles the demands for attestations.
func compileAttestations(path string, configs []attestationConfig) (demands []demand, errs strict.Errors) {
	if len(configs) > maxAttestations {
		errs.Add(path, "are %d, but no more than %d are allowed", len(configs), maxAttestations)
		return nil, errs
	}
	for i, config := range configs {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch known := shortNames[config.PredicateType]; {
		case known != "":
			errs.Add(at+".predicateType", "must be a URI; what cosign calls %s is %s", config.PredicateType, known)
		case config.PredicateType == "":
			errs.Add(at+".predicateType", "is missing")
		case !strings.Contains(config.PredicateType, ":"):
			errs.Add(at+".predicateType", "%q is no URI", config.PredicateType)
		case config.PredicateType == signaturePredicate:
			errs.Add(at+".predicateType", "is that of a signature, which is demanded in any case")
		}
		d := demand{what: fmt.Sprintf("attestation of type %q", config.PredicateType), predicateType: config.PredicateType, holds: always}
		if config.CEL != "" {
			program, err := compileCEL(config.CEL)
			if err != nil {
				errs.Add(at+".cel", "%v", err)
			}
			d.holds = satisfied(config, program)
		}
		demands = append(demands, d)
	}
	return demands, errs
}

func always(context.Context, claim) *validator.Error { return nil }

// celEnvironment is what expressions may use. It is immutable, and costly to
// make.
var celEnvironment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("predicate", cel.DynType),
		cel.Variable("predicateType", cel.StringType),
		cel.CrossTypeNumericComparisons(true),
		ext.Strings(),
	)
})

// compileCEL compiles an expression over a predicate.
// https://github.com/google/cel-spec/blob/master/doc/langdef.md
func compileCEL(expression string) (cel.Program, error) {
	env, err := celEnvironment()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("is no valid CEL expression: %s", strings.ReplaceAll(issues.Err().Error(), "\n", " "))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("must be an expression that is true or false, not one of type %s", t)
	}
	return env.Program(ast, cel.CostLimit(celCost), cel.InterruptCheckFrequency(celInterrupt), cel.EvalOptions(cel.OptOptimize))
}

// satisfied evaluates an expression over the predicate. Whatever is not true
// denies.
func satisfied(config attestationConfig, program cel.Program) func(context.Context, claim) *validator.Error {
	predicateType, expression := config.PredicateType, validator.Quote(config.CEL)
	return func(ctx context.Context, c claim) *validator.Error {
		var predicate any
		if err := json.Unmarshal(c.predicate, &predicate); err != nil {
			return validator.Errorf(validator.MalformedSignature, "the predicate of type %q cannot be read: %w", predicateType, err)
		}
		value, _, err := program.ContextEval(ctx, map[string]any{"predicate": predicate, "predicateType": predicateType})
		switch {
		case ctx.Err() != nil:
			return validator.AsError(ctx.Err())
		case err != nil:
			return validator.Errorf(validator.PolicyDenied, "the expression over the attestation of type %q cannot be evaluated: %s: %s", predicateType, expression, validator.Quote(err.Error()))
		case value.Value() == false:
			return validator.Errorf(validator.PolicyDenied, "the attestation of type %q is not as the rule demands it: %s is false", predicateType, expression)
		case value.Value() != true:
			return validator.Errorf(validator.PolicyDenied, "the expression over the attestation of type %q is neither true nor false, but of type %s: %s", predicateType, value.Type().TypeName(), expression)
		}
		return nil
	}
}

// annotated demands annotations of a signature.
func annotated(demanded map[string]string) func(context.Context, claim) *validator.Error {
	return func(_ context.Context, c claim) *validator.Error {
		var annotations map[string]any
		if err := json.Unmarshal(c.annotations, &annotations); err != nil {
			annotations = nil // there are none
		}
		var missing []error
		for _, name := range slices.Sorted(maps.Keys(demanded)) {
			if text, ok := annotations[name].(string); !ok || text != demanded[name] {
				missing = append(missing, fmt.Errorf("%s=%s", name, demanded[name]))
			}
		}
		if len(missing) > 0 {
			return validator.Errorf(validator.PolicyDenied, "it is signed, but the signature lacks the annotation that the rule demands: %s",
				strings.ReplaceAll(errors.Join(missing...).Error(), "\n", ", "))
		}
		return nil
	}
}
