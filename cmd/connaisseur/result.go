package main

import (
	"encoding/json"
	"io"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/admission"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// result is what was decided about an image, for output. Its keys are part of
// the interface; those that are not always there are left out when empty.
type result struct {
	Image   string `json:"image"`
	Outcome string `json:"outcome"`
	Allowed bool   `json:"allowed"`
	// Tolerated is why it is allowed although something is wrong with it.
	Tolerated  verify.Tolerance `json:"tolerated,omitempty"`
	Digest     image.Digest     `json:"digest,omitempty"`
	Rule       string           `json:"rule,omitempty"`
	Validator  string           `json:"validator,omitempty"`
	TrustRoots []string         `json:"trustRoots,omitempty"`
	Signers    []string         `json:"signers,omitempty"`
	Warnings   []string         `json:"warnings,omitempty"`
	Reason     validator.Reason `json:"reason,omitempty"`
	Message    string           `json:"message,omitempty"`
}

// newResult is for an image of the verdict as it was typed.
func newResult(typed string, verdict *verify.Verdict, v *verify.ImageVerdict) result {
	tolerance := verdict.Tolerance(v)
	r := result{
		Image:      typed,
		Outcome:    outcomeOf(verdict, v),
		Allowed:    v.Admitted() || tolerance != "",
		Tolerated:  tolerance,
		Digest:     v.Digest,
		TrustRoots: v.TrustRoots,
		Signers:    v.Signers,
		Warnings:   v.Warnings,
		Reason:     v.Reason,
		Message:    admission.Tolerating(tolerance, v) + v.Message,
	}
	if v.Rule != nil {
		r.Rule, r.Validator = v.Rule.String(), v.Rule.ValidatorName
	}
	return r
}

// outcomeOf is what the webhook's outcome would be if the workload had no other image.
func outcomeOf(verdict *verify.Verdict, v *verify.ImageVerdict) string {
	alone := *verdict
	alone.Images = []verify.ImageVerdict{*v}
	return admission.Outcome(&alone)
}

// summary sums the outcomes of what is refused up in an exit code: one denial
// outweighs all, and then one that could not be checked.
func summary(refused []string) error {
	code := exitOK
	for _, outcome := range refused {
		if outcome != verify.Inconclusive.String() {
			return status(exitDenied)
		}
		code = exitInconclusive
	}
	if code != exitOK {
		return status(code)
	}
	return nil
}

// encode writes a value as JSON or YAML.
func encode(w io.Writer, format string, value any) error {
	if format == formatYAML {
		text, err := yaml.Marshal(value)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// printable replaces what could forge lines or steer a terminal: manifests and
// registries' answers may be hostile.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
