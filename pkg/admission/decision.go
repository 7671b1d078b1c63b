package admission

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
}

// fail denies a request for which no verdict was reached.
func (d *decision) fail(err error, format string, args ...any) {
	d.err, d.verdict, d.response = err, nil, nil
	d.response = denial(fmt.Sprintf(format, args...) + " (" + string(d.reason()) + ")")
}

func (d *decision) outcome() string {
	switch {
	case d.verdict != nil && d.response.Allowed:
		return d.verdict.Outcome().String()
	case d.verdict != nil:
		return d.verdict.Refused()[0].Outcome.String()
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
	case d.response != nil && d.response.Allowed:
		return ""
	case d.verdict != nil:
		return d.verdict.Reason()
	}
	var failure *validator.Error
	if errors.As(d.err, &failure) {
		return failure.Reason
	}
	return validator.Internal
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
		// What the object already had is left alone: changing it would
		// restart containers, or is forbidden.
		if pinned, demanded := img.Pin(); demanded && !img.Unchanged && !img.Pinned() {
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
// has to be.
func (d *decision) demandPins() {
	for i := range d.verdict.Images {
		img := &d.verdict.Images[i]
		if pinned, demanded := img.Pin(); demanded && !img.Unchanged && !img.Pinned() {
			img.Outcome, img.Reason = verify.Denied, validator.NotPinned
			img.Message = fmt.Sprintf("it is signed, but was put in after the mutating webhooks had run; it must read %s", pinned)
		}
	}
	if !d.refuse() {
		d.admit()
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
		if advice := img.Reason.Advice(); advice != "" && !given[advice] {
			given[advice] = true
			fmt.Fprintf(&b, "\n%s: %s.", img.Reason, advice)
		}
	}
	return b.String()
}

// admit answers yes, with a warning for each image that could not be checked, or
// only in a weaker way.
func (d *decision) admit() {
	d.response = &admissionv1.AdmissionResponse{Allowed: true, AuditAnnotations: d.audit()}
	for _, img := range d.verdict.Tolerated() {
		d.response.Warnings = append(d.response.Warnings, "unchanged and therefore admitted, but "+img.String())
	}
	for i := range d.verdict.Images {
		if img := &d.verdict.Images[i]; len(img.Warnings) > 0 && img.Admitted() {
			d.response.Warnings = append(d.response.Warnings, img.String())
		}
	}
}

// audit are the annotations of the API server's audit event.
func (d *decision) audit() map[string]string {
	annotations := map[string]string{"revision": d.verdict.Revision, "outcome": d.verdict.Outcome().String()}
	if d.verdict.Skipped != "" {
		annotations["skipped"] = d.verdict.Skipped
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

// maxLogged bounds the images of one log line.
const maxLogged = 50

// maxSigners bounds the signers of an image that are logged.
const maxSigners = 8

// imageLog writes images into the log line of a decision.
type imageLog []verify.ImageVerdict

// MarshalLogArray implements zapcore.ArrayMarshaler.
func (l imageLog) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	for i := range l[:min(len(l), maxLogged)] {
		if err := enc.AppendObject((*imageEntry)(&l[i])); err != nil {
			return err
		}
	}
	return nil
}

type imageEntry verify.ImageVerdict

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (e *imageEntry) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("field", e.Image.Field)
	enc.AddString("reference", e.Image.Reference)
	enc.AddString("outcome", e.Outcome.String())
	if e.Digest != "" {
		enc.AddString("digest", string(e.Digest))
	}
	if e.Rule != nil {
		enc.AddInt("rule", e.Rule.Index)
		enc.AddString("validator", e.Rule.ValidatorName)
	}
	if e.Reason != "" {
		enc.AddString("reason", string(e.Reason))
	}
	if len(e.Signers) > 0 {
		zap.Strings("signers", e.Signers[:min(len(e.Signers), maxSigners)]).AddTo(enc)
	}
	if len(e.Warnings) > 0 {
		zap.Strings("warnings", e.Warnings[:min(len(e.Warnings), maxSigners)]).AddTo(enc)
	}
	if e.Reason == validator.Internal && e.Err != nil {
		if cause := (*verify.ImageVerdict)(e).Cause(); cause != "" {
			enc.AddString("error", cause)
		}
	}
	enc.AddBool("cached", e.Cached)
	return nil
}
