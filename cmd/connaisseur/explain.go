package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

const explainHelp = `Say which rule of the policy applies to an image, which others match, and why
that one precedes them. No registry is asked and no signature is looked at. Notes
say what lets the image in now whatever is wrong with it: an exception, or
detection mode. With -o json or yaml, tolerated says that in a word.

The exit code is 0 if a rule applies, or if none does and the image is let in all
the same, 1 if none does, in which case the webhook denies the image, and 2 if the
command or the configuration is wrong.`

const explainExamples = `  # Which rule of the current cluster applies to an image?
  connaisseur explain docker.io/myorg/app:v1

  # Which would, with the configuration in a folder, in namespace prod?
  connaisseur explain nginx --config config/ -n prod`

// explain makes the command that says which rule applies to an image.
func (c *cli) explain() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "explain IMAGE",
		Short:             "Say which rule of the policy applies to an image, and why",
		Long:              explainHelp,
		Example:           explainExamples,
		Args:              exactlyOne("image"),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	from, namespace := addSource(cmd), addNamespace(cmd)
	format := addOutput(cmd, formatText, formatJSON, formatYAML)
	cmd.RunE = running(func(cmd *cobra.Command, args []string) error {
		ref, err := image.Parse(args[0])
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), clusterTimeout)
		defer cancel()
		built, err := from.load(ctx, c, &effort{})
		if err != nil {
			return err
		}
		e := newExplanation(built, ref, *namespace, c.now())
		if format.value == formatText {
			err = e.write(c.out)
		} else {
			err = encode(c.out, format.value, e)
		}
		if err == nil && e.denied() {
			return status(exitDenied)
		}
		return err
	})
	return cmd
}

// explanation says which rule applies. Its keys are part of the interface.
type explanation struct {
	Image     string `json:"image"`
	Canonical string `json:"canonical"`
	Namespace string `json:"namespace"`
	// Rule is the one that applies; nil if none does.
	Rule *ruleView `json:"rule,omitempty"`
	// Others match too, in the order in which they would apply.
	Others []*ruleView `json:"others,omitempty"`
	// Tolerated is by what the image would be let in whatever is wrong with it.
	Tolerated verify.Tolerance `json:"tolerated,omitempty"`
	Notes     []string         `json:"notes,omitempty"`

	skipped bool
}

// denied tells whether the image is denied, since there is no rule for it.
func (e *explanation) denied() bool {
	return e.Rule == nil && !e.skipped && (e.Tolerated == "" || e.Tolerated == verify.PodsOnly)
}

// ruleView is a rule that matches.
type ruleView struct {
	Index      int            `json:"index"`
	Pattern    string         `json:"pattern"`
	Canonical  string         `json:"canonicalPattern"`
	Namespaces []string       `json:"namespaces,omitempty"`
	Validator  validatorView  `json:"validator"`
	Mode       verify.Mode    `json:"mode"`
	With       map[string]any `json:"with,omitempty"`
	// Because says why it precedes the next; empty for the last.
	Because string `json:"because,omitempty"`
}

// validatorView is a rule's validator.
type validatorView struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Approve is a static validator's answer.
	Approve *bool `json:"approve,omitempty"`
}

func newExplanation(built config.Built, ref image.Reference, namespace string, now time.Time) explanation {
	e := explanation{Image: ref.Original(), Canonical: ref.String(), Namespace: namespace}
	matches := built.Snapshot.Policy.Matches(ref, namespace)
	for i, match := range matches {
		view := newRuleView(built, match)
		if i == 0 {
			e.Rule = view
		} else {
			e.Others = append(e.Others, view)
		}
	}
	claimed := len(matches) > 0 && matches[0].ByTag && ref.Digest() != ""
	if claimed {
		e.Notes = append(e.Notes, claimNote(built.Snapshot, ref, namespace))
	}
	switch {
	case namespace == built.Snapshot.Namespace:
		e.skip("The webhook does not look at namespace %q, where Connaisseur itself runs.", namespace)
	case built.Snapshot.Features.Excludes(namespace):
		e.skip("The webhook does not look at namespace %q: excludedNamespaces in config-features lists it.", namespace)
	default:
		// A rule that may not apply promises nothing.
		detects := e.Rule != nil && !claimed && built.Snapshot.Rules[e.Rule.Index].Detection
		e.tolerate(built.Snapshot, ref, detects, now)
	}
	return e
}

// skip notes why nothing is looked at.
func (e *explanation) skip(format string, args ...any) {
	e.skipped = true
	e.Notes = append(e.Notes, fmt.Sprintf(format, args...))
}

// tolerate notes by what the image would be let in whatever is wrong with it.
// detects is the detection of its rule.
func (e *explanation) tolerate(snapshot *verify.Snapshot, ref image.Reference, detects bool, now time.Time) {
	tolerance, exception := snapshot.Lenience(ref, e.Namespace, false, detects, now)
	why := ""
	switch {
	case tolerance == "":
		return
	case tolerance == verify.Excepted:
		why = fmt.Sprintf("exceptions[%d] of config-policy lets it in until %s: %s", exception.Index, exception.Until.UTC().Format(time.RFC3339), validator.Quote(exception.Reason))
	case tolerance == verify.PodsOnly:
		why = "what makes Pods is admitted with a warning (resourceValidationMode: podsOnly in config-features), and the Pods are denied"
	case snapshot.Features.DetectionMode:
		why = "it is admitted with a warning (detectionMode in config-features)"
	default:
		why = "it is admitted with a warning (detection of the rule)"
	}
	e.Tolerated = tolerance
	e.Notes = append(e.Notes, "Whatever is wrong with the image, "+why+".")
}

func newRuleView(built config.Built, match policy.Match) *ruleView {
	rule, text := built.Snapshot.Rules[match.Index], built.Rules[match.Index]
	return &ruleView{
		Index:      match.Index,
		Pattern:    rule.Pattern,
		Canonical:  match.Pattern,
		Namespaces: text.Namespaces,
		Validator:  validatorView{Name: rule.ValidatorName, Type: text.ValidatorType, Approve: text.Approve},
		Mode:       rule.Mode,
		With:       text.With,
		Because:    match.Because,
	}
}

// claimNote says what the webhook does about a tag beside a digest, by which
// the rule matched.
func claimNote(snapshot *verify.Snapshot, ref image.Reference, namespace string) string {
	otherwise := "no rule does, and the image is denied"
	if match, ok := snapshot.Policy.Match(ref.WithoutTag(), namespace); ok {
		otherwise = snapshot.Rules[match.Index].String() + " does"
	}
	return fmt.Sprintf("The rule matches by the tag, but beside a digest a tag is only a claim, which the runtime ignores. "+
		"The webhook first asks the registry whether %q really stands for %s. Only then does this rule apply; otherwise %s.", ref.Tag(), ref.Digest(), otherwise)
}
