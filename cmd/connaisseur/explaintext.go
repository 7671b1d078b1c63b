package main

import (
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// write explains in words.
func (e explanation) write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Image:      %s\n", e.Image)
	fmt.Fprintf(&b, "Canonical:  %s\n", e.Canonical)
	fmt.Fprintf(&b, "Namespace:  %s\n", e.Namespace)
	switch {
	case e.denied():
		b.WriteString("\nNo rule of the policy matches, so the webhook denies this image (NoMatchingRule).\n")
	case e.Rule == nil:
		b.WriteString("\nNo rule of the policy matches (NoMatchingRule).\n")
	default:
		fmt.Fprintf(&b, "Rule:       %s\n", e.Rule)
		e.Rule.details(&b)
	}
	e.writeOthers(&b)
	for _, note := range e.Notes {
		fmt.Fprintf(&b, "\nNote: %s\n", note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeOthers says which other rules match, and why each comes later.
func (e explanation) writeOthers(b *strings.Builder) {
	if e.Rule == nil {
		return
	}
	if len(e.Others) == 0 {
		b.WriteString("\nIt is the only rule that matches.\n")
		return
	}
	b.WriteString("\nOther rules that match, in the order in which they would apply:\n")
	before := e.Rule
	for _, other := range e.Others {
		fmt.Fprintf(b, "  %s, validator %s\n      policy[%d] precedes it: %s\n", other, other.Validator, before.Index, before.Because)
		before = other
	}
}

func (r *ruleView) String() string { return fmt.Sprintf("policy[%d] %q", r.Index, r.Pattern) }

// details lists what there is to know about the rule that applies.
func (r *ruleView) details(b *strings.Builder) {
	if r.Canonical != r.Pattern {
		fmt.Fprintf(b, "            which means %q\n", r.Canonical)
	}
	if len(r.Namespaces) > 0 {
		fmt.Fprintf(b, "            for the namespaces %s\n", strings.Join(r.Namespaces, ", "))
	}
	fmt.Fprintf(b, "Validator:  %s%s\n", r.Validator, r.Validator.answer())
	if r.Validator.Approve == nil {
		fmt.Fprintf(b, "Mode:       %s: %s\n", r.Mode, meaning(r.Mode))
	}
	if len(r.With) == 0 {
		return
	}
	// Of the values a ConfigMap's YAML can hold there is none that YAML cannot write.
	with, _ := yaml.Marshal(r.With)
	heading := "With:"
	for line := range strings.Lines(string(with)) {
		fmt.Fprintf(b, "%-11s %s", heading, line)
		heading = ""
	}
}

func (v validatorView) String() string { return fmt.Sprintf("%q of type %s", v.Name, v.Type) }

// answer is what a static validator says to every image.
func (v validatorView) answer() string {
	switch {
	case v.Approve == nil:
		return ""
	case *v.Approve:
		return ", which allows every image without a signature"
	}
	return ", which denies every image, whoever signed it"
}

func meaning(mode verify.Mode) string {
	if mode == verify.InsecureValidateOnly {
		return "the reference is left alone, so that something else may run than what was verified"
	}
	return "the webhook puts the digest that was verified into the reference"
}
