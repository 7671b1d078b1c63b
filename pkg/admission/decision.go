package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// decision is one admission request on its way to its answer.
type decision struct {
	request  *admissionv1.AdmissionRequest
	verdict  *verify.Verdict // nil if none was reached
	response *admissionv1.AdmissionResponse
	err      error // what went wrong apart from images
	took     time.Duration
	// lenient is the setting by which nothing of the kind is blocked; empty if none
	// is.
	lenient string
}

// by finds the setting.
func (d *decision) by(settings feature.Settings) {
	switch {
	case settings.DetectionMode:
		d.lenient = "detectionMode"
	case settings.PodsOnly() && (d.request.Kind.Group != "" || d.request.Kind.Kind != "Pod"):
		d.lenient = "resourceValidationMode: podsOnly"
	}
}

// fail denies a request for which no verdict was reached.
func (d *decision) fail(err error, format string, args ...any) {
	d.err, d.verdict, d.response = err, nil, nil
	message := fmt.Sprintf(format, args...) + " (" + string(d.reason()) + ")"
	if d.response = denial(message); d.lenient != "" {
		d.response = &admissionv1.AdmissionResponse{Allowed: true, Warnings: []string{"would be denied, but for " + d.lenient + ": " + message}}
	}
}

// The outcomes of requests that would have been denied.
const (
	detected      = "Detected"
	excepted      = "Excepted"
	lastKnownGood = "LastKnownGood"
)

// outcomes are those of requests that are admitted although something is wrong, from
// the one that says most.
var outcomes = []struct {
	tolerance verify.Tolerance
	outcome   string
}{
	{verify.Detection, detected}, {verify.PodsOnly, detected}, {verify.Excepted, excepted}, {verify.LastKnownGood, lastKnownGood},
	{verify.NothingChanged, verify.Inconclusive.String()},
}

// Outcome is one word for what a verdict comes to, as in metrics, log and findings.
func Outcome(verdict *verify.Verdict) string {
	if refused := verdict.Refused(); len(refused) > 0 {
		return refused[0].Outcome.String()
	}
	tolerated := tolerances(verdict)
	for _, o := range outcomes {
		if slices.Contains(tolerated, o.tolerance) {
			return o.outcome
		}
	}
	return verdict.Outcome().String()
}

func (d *decision) outcome() string {
	switch {
	case d.verdict != nil:
		return Outcome(d.verdict)
	case d.response.Allowed && d.err != nil:
		return detected
	case d.response.Allowed:
		return verify.Skipped.String()
	}
	if !d.reason().Inconclusive() {
		return verify.Denied.String()
	}
	return verify.Inconclusive.String()
}

func (d *decision) reason() validator.Reason {
	switch {
	case d.verdict != nil:
		return d.verdict.Reason()
	case d.err == nil:
		return ""
	}
	var failure *validator.Error
	if errors.As(d.err, &failure) {
		return failure.Reason
	}
	return validator.Internal
}

// message is what the user is told.
func (d *decision) message() string {
	if d.response.Result != nil {
		return d.response.Result.Message
	}
	return strings.Join(d.response.Warnings, "\n")
}

// maxName bounds a name in traces and log, in bytes.
const maxName = 1 << 10

// name is the object's. Before the object is validated it may be of any length.
func (d *decision) name() string {
	if len(d.request.Name) <= maxName {
		return d.request.Name
	}
	return strings.ToValidUTF8(d.request.Name[:maxName], "")
}

// attributes tell of the decision in the request's span.
func (d *decision) attributes(outcome string, reason validator.Reason) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("k8s.namespace.name", d.request.Namespace),
		attribute.String("connaisseur.kind", d.request.Kind.Kind),
		attribute.String("connaisseur.name", d.name()),
		attribute.String("connaisseur.operation", string(d.request.Operation)),
		attribute.String("connaisseur.uid", string(d.request.UID)),
		attribute.Bool("connaisseur.allowed", d.response.Allowed),
		attribute.String("connaisseur.outcome", outcome),
		attribute.String("connaisseur.reason", string(reason)),
	}
	if d.verdict != nil {
		all = append(all, attribute.String("connaisseur.revision", d.verdict.Revision))
	}
	return all
}

// pin answers with a patch that pins what was verified.
func (d *decision) pin() {
	if d.refuse() {
		return
	}
	d.admit()
	var patch []operation
	for i := range d.verdict.Images {
		img := &d.verdict.Images[i]
		if pinned, demanded := d.verdict.Pin(img); demanded && !img.Pinned() {
			patch = append(patch, operation{Op: "replace", Path: img.Image.Pointer, Value: pinned})
		}
	}
	if len(patch) == 0 {
		return
	}
	text, err := json.Marshal(patch)
	if err != nil {
		d.fail(err, "the patch could not be written: %v", err)
		return
	}
	kind := admissionv1.PatchTypeJSONPatch
	d.response.Patch, d.response.PatchType = text, &kind
}

// operation is one of an RFC 6902 JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value"`
}

// demandPins answers for the object as it will be stored: what is to be pinned
// has to be, unless there may have been nobody to do it. There is a warning for each image that
// was verified in a weaker way.
func (d *decision) demandPins(excused bool) {
	for i := range d.verdict.Images {
		img := &d.verdict.Images[i]
		if pinned, demanded := d.verdict.Pin(img); demanded && !img.Pinned() && !excused {
			img.Outcome, img.Reason, img.LastKnownGood = verify.Denied, validator.NotPinned, false
			img.Message = fmt.Sprintf("it is signed, but was put in after the mutating webhooks had run; it must read %s", pinned)
		}
	}
	if d.refuse() {
		return
	}
	d.admit()
	// Here only: the images read otherwise than when they were pinned, so that each
	// warning would be given twice.
	for i := range d.verdict.Images {
		if img := &d.verdict.Images[i]; len(img.Warnings) > 0 && img.Admitted() {
			d.response.Warnings = append(d.response.Warnings, img.String())
		}
	}
}

// refuse answers with a denial if an image must not run.
func (d *decision) refuse() bool {
	refused := d.verdict.Refused()
	if len(refused) == 0 {
		return false
	}
	d.response = denial(explain(d.verdict, refused))
	d.response.AuditAnnotations = d.audit()
	return true
}

// maxDenial bounds, in bytes, how much is said about images: hundreds have
// room, and an object of thousands does not get an answer larger than itself.
const maxDenial = 256 << 10

// explain says which images are refused, each in a line of its own.
func explain(verdict *verify.Verdict, refused []*verify.ImageVerdict) string {
	var b strings.Builder
	inconclusive := 0
	for _, img := range refused {
		if img.Outcome == verify.Inconclusive {
			inconclusive++
		}
	}
	what := "must not run"
	switch inconclusive {
	case 0:
	case len(refused):
		what = "could not be checked"
	default:
		what = "must not run or could not be checked"
	}
	fmt.Fprintf(&b, "%d of %d images %s:", len(refused), len(verdict.Images), what)
	for i, img := range refused {
		if b.Len() > maxDenial {
			fmt.Fprintf(&b, "\n  and %d more", len(refused)-i)
			break
		}
		b.WriteString("\n  " + img.String())
	}
	given := map[string]bool{}
	for _, img := range refused {
		if advice := img.Advice(); advice != "" && !given[advice] {
			given[advice] = true
			fmt.Fprintf(&b, "\n%s: %s.", img.Reason, advice)
		}
	}
	return b.String()
}

// admit answers yes, with a warning for each image that could not be checked.
func (d *decision) admit() {
	d.response = &admissionv1.AdmissionResponse{Allowed: true, AuditAnnotations: d.audit()}
	for _, img := range d.verdict.Tolerated() {
		d.response.Warnings = append(d.response.Warnings, Tolerating(d.verdict.Tolerance(img), img)+img.String())
	}
}

// Tolerating says why an image is admitted, before it is said what is wrong with it.
func Tolerating(why verify.Tolerance, img *verify.ImageVerdict) string {
	switch why {
	case verify.Detection:
		return "would be denied, but for detection mode: "
	case verify.PodsOnly:
		return "its Pods would be denied, and only those are (resourceValidationMode: podsOnly): "
	case verify.Excepted:
		return fmt.Sprintf("admitted by exceptions[%d] of config-policy (until %s: %s), but ", img.Exception.Index, img.Exception.Until.UTC().Format(time.RFC3339), validator.Quote(img.Exception.Reason))
	case verify.LastKnownGood:
		return fmt.Sprintf("admitted as %s, which was verified before (onInconclusive: lastKnownGood), but ", img.Digest)
	case verify.NothingChanged:
		return "unchanged and therefore admitted, but "
	}
	return ""
}

// tolerances are those that images are admitted by, each once, sorted.
func tolerances(verdict *verify.Verdict) (found []verify.Tolerance) {
	for _, img := range verdict.Tolerated() {
		if why := verdict.Tolerance(img); !slices.Contains(found, why) {
			found = append(found, why)
		}
	}
	slices.Sort(found)
	return found
}

// tolerated names them.
func (d *decision) tolerated() string {
	var names []string
	for _, t := range tolerances(d.verdict) {
		names = append(names, string(t))
	}
	return strings.Join(names, ",")
}

// audit are the annotations of the API server's audit event.
func (d *decision) audit() map[string]string {
	annotations := map[string]string{"revision": d.verdict.Revision, "outcome": d.verdict.Outcome().String()}
	if d.verdict.Skipped != "" {
		annotations["skipped"] = d.verdict.Skipped
	}
	if tolerated := d.tolerated(); tolerated != "" {
		annotations["tolerated"] = tolerated
	}
	if reason := d.verdict.Reason(); reason != "" {
		annotations["reason"] = string(reason)
	}
	return annotations
}

// denial is an answer that denies.
func denial(message string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{Result: &metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusForbidden,
		Reason:  metav1.StatusReasonForbidden,
		Message: message,
	}}
}
