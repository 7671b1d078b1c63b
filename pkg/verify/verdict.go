package verify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.opentelemetry.io/otel/attribute"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// Outcome is what was decided about an image. The zero value denies.
type Outcome int

// The outcomes.
const (
	// Denied: it was checked, and must not run.
	Denied Outcome = iota
	// Inconclusive: it could not be checked, and so must not run either.
	Inconclusive
	// Skipped: it is exempt.
	Skipped
	// Allowed: the policy demands no signature.
	Allowed
	// Trusted: a trusted signature was verified.
	Trusted
)

var outcomeNames = [...]string{"Denied", "Inconclusive", "Skipped", "Allowed", "Trusted"}

// String is the outcome's name, as it stands in output and metrics.
func (o Outcome) String() string {
	if o < 0 || int(o) >= len(outcomeNames) {
		return outcomeNames[Denied]
	}
	return outcomeNames[o]
}

// MarshalText is String, for JSON and YAML.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// ImageVerdict is what was decided about one image of a workload.
type ImageVerdict struct {
	// Image is the image, and where in the workload it stands.
	Image workload.Image
	// Reference is the image's canonical reference; zero if it has none.
	Reference image.Reference
	Outcome   Outcome
	// Reason says why an image is denied or inconclusive; it is empty
	// otherwise.
	Reason validator.Reason
	// Message says it in words.
	Message string
	// Err is the error behind the message, for the log.
	Err error
	// Digest is what was verified.
	Digest image.Digest
	// TrustRoots are the names of the trust roots that signed.
	TrustRoots []string
	// Signers names who signed for them, for people.
	Signers []string
	// Warnings say what is wrong with their signatures, and was let pass because
	// the rule has it so, for people.
	Warnings []string
	// Rule is the rule that applied; nil if none did.
	Rule *Rule
	// Unchanged tells that the object already had the image before.
	Unchanged bool
	// Lenience is why the image is admitted should it be denied or could it not be
	// checked; empty if it is not. Exception is the one that grants it, if one does.
	Lenience  Tolerance
	Exception *Exception
	// LastKnownGood tells that it could not be checked, and that Digest is what was
	// verified before, which is taken for good.
	LastKnownGood bool
	// Cached tells that the result came from the cache.
	Cached bool
	// Duration is how long it took to decide.
	Duration time.Duration
}

// Admitted tells whether the image may run by what is known of it. Whether it is
// tolerated otherwise the Verdict says.
func (v *ImageVerdict) Admitted() bool {
	return v.Outcome == Trusted || v.Outcome == Allowed || v.Outcome == Skipped
}

// pin is what the image's field must hold to run what was verified, and whether
// its rule demands that.
func (v *ImageVerdict) pin() (reference string, demanded bool) {
	if v.Outcome != Trusted && !v.LastKnownGood || v.Rule == nil || v.Rule.Mode == InsecureValidateOnly {
		return "", false
	}
	return v.Reference.Pinned(v.Digest), true
}

// Pinned tells whether the image's field names the digest that was verified.
func (v *ImageVerdict) Pinned() bool {
	return v.Digest != "" && v.Reference.Digest() == v.Digest
}

// Cause is the error behind an Internal failure, for the log; it may be long.
func (v *ImageVerdict) Cause() string {
	if cause := errors.Unwrap(v.Err); cause != nil {
		return cause.Error()
	}
	return ""
}

// Advice says what somebody whose image is refused can do; empty where the message
// says it.
func (v *ImageVerdict) Advice() string {
	if failure := validator.AsError(v.Err); failure != nil && failure.Reason == v.Reason {
		return failure.Advice()
	}
	return v.Reason.Advice()
}

// attributes tell of the decision in a trace.
func (v *ImageVerdict) attributes(reference string) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("connaisseur.image", shown(reference)),
		attribute.String("connaisseur.outcome", v.Outcome.String()),
		attribute.String("connaisseur.reason", string(v.Reason)),
		attribute.Bool("connaisseur.cached", v.Cached),
	}
	if v.Rule != nil {
		all = append(all, attribute.Int("connaisseur.rule", v.Rule.Index),
			attribute.String("connaisseur.validator", v.Rule.ValidatorName), attribute.String("connaisseur.validator.type", v.Rule.ValidatorType))
	}
	return all
}

// String says in one line what was decided, for the person who wanted to run
// the image.
func (v *ImageVerdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s", v.Image.Field, shown(v.Image.Reference), v.Message)
	b.WriteString(" (")
	if v.Reason != "" {
		fmt.Fprintf(&b, "%s; ", v.Reason)
	}
	if v.Rule == nil {
		b.WriteString("no rule)")
		return b.String()
	}
	fmt.Fprintf(&b, "rule %s, validator %q)", v.Rule, v.Rule.ValidatorName)
	return b.String()
}

// shown is a reference fit for one line, whatever somebody wrote into the
// image field: it cannot pretend to be a line of its own.
func shown(reference string) string {
	if len(reference) > image.MaxLength {
		reference = reference[:64] + "…"
	}
	if strings.ContainsFunc(reference, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(reference)
	}
	return reference
}

// Verdict is what was decided about a workload.
type Verdict struct {
	// Workload is what was decided about.
	Workload *workload.Workload
	// Revision is that of the snapshot that decided.
	Revision string
	// Skipped says why nothing was looked at; empty if something was.
	Skipped string
	// Images are in the order of the workload's.
	Images []ImageVerdict
	// PodsOnly tells that only Pods are blocked and changed.
	PodsOnly bool
	// NothingChanged tells that the workload was updated without a change of
	// its images.
	NothingChanged bool
}

// Pin is what the field of one of the images must hold to run what was verified,
// and whether that is demanded. What the object had before is left alone, since
// changing it would restart containers, or is forbidden; and so is what somebody
// compares (workload.Workload.Fixed): the Pods that come of it are pinned.
func (v *Verdict) Pin(img *ImageVerdict) (reference string, demanded bool) {
	if !v.Workload.IsPod() {
		if v.PodsOnly || v.Workload.Fixed() || img.Rule != nil && img.Rule.Mode == MutatePodsOnly {
			return "", false
		}
	}
	if img.Unchanged {
		return "", false
	}
	return img.pin()
}

// Tolerance is why one of the images is admitted although it is denied or could
// not be checked; empty if neither is so, or it is not admitted.
func (v *Verdict) Tolerance(img *ImageVerdict) Tolerance {
	switch {
	case img.Admitted():
		return ""
	case img.LastKnownGood:
		return LastKnownGood
	case v.NothingChanged && img.Unchanged && img.Outcome == Inconclusive:
		return NothingChanged
	}
	return img.Lenience
}

// Refused lists the images because of which the workload must not be admitted;
// empty means that it is.
func (v *Verdict) Refused() []*ImageVerdict {
	var refused []*ImageVerdict
	for i := range v.Images {
		if img := &v.Images[i]; !img.Admitted() && v.Tolerance(img) == "" {
			refused = append(refused, img)
		}
	}
	return refused
}

// Tolerated lists the images that are admitted although they are denied or could
// not be checked.
func (v *Verdict) Tolerated() []*ImageVerdict {
	var tolerated []*ImageVerdict
	for i := range v.Images {
		if img := &v.Images[i]; v.Tolerance(img) != "" {
			tolerated = append(tolerated, img)
		}
	}
	return tolerated
}

// Outcome sums the verdict up: the worst of its images'.
func (v *Verdict) Outcome() Outcome {
	if v.Skipped != "" || len(v.Images) == 0 {
		return Skipped
	}
	worst := Trusted
	for i := range v.Images {
		worst = min(worst, v.Images[i].Outcome)
	}
	return worst
}

// Reason is that of the first image that is refused, or else of the first that is
// tolerated; empty if none is.
func (v *Verdict) Reason() validator.Reason {
	for _, img := range append(v.Refused(), v.Tolerated()...) {
		return img.Reason
	}
	return ""
}
