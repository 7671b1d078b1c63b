package admission

import (
	"context"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// Findings takes what was decided. It returns at once.
type Findings interface {
	// Active tells whether there is anybody to tell.
	Active() bool
	Decided(a *finding.Admission)
}

// Alerts tells people what was decided. Send returns before ctx ends; an error
// denies the request, since somebody must know of it and could not be told.
type Alerts interface {
	// Active tells whether there is anybody to tell.
	Active() bool
	Send(ctx context.Context, a *finding.Admission) error
}

// WithFindings has the handler tell of its decisions: the mutating webhook of those
// it denies, the validating webhook of all that come to it, so that an admission is
// told once. A dry run is not. Each may be nil.
func (h *Handler) WithFindings(findings Findings, alerts Alerts) *Handler {
	h.findings, h.alerts = findings, alerts
	return h
}

// findingTypes are those of events about admissions, by outcome.
var findingTypes = map[string]finding.Type{
	verify.Trusted.String():      finding.Admitted,
	verify.Allowed.String():      finding.Admitted,
	verify.Skipped.String():      finding.Admitted,
	verify.Denied.String():       finding.Denied,
	verify.Inconclusive.String(): finding.Inconclusive,
	detected:                     finding.Detected,
	excepted:                     finding.ExceptionUsed,
	lastKnownGood:                finding.LastKnownGoodUsed,
}

// tell tells of the decision, and denies if that is a condition.
func (h *Handler) tell(ctx context.Context, d *decision) {
	switch {
	case (h.findings == nil || !h.findings.Active()) && (h.alerts == nil || !h.alerts.Active()),
		d.request.DryRun != nil && *d.request.DryRun,
		h.mutates && d.response.Allowed,
		d.response.Allowed && d.err == nil && (d.verdict == nil || len(d.verdict.Workload.Images) == 0): // there was nothing to decide
		return
	}
	a := d.finding(h.path, h.engine.Now())
	if h.alerts != nil {
		if err := h.alerts.Send(ctx, a); err != nil && d.response.Allowed {
			d.lenient = "" // which is about images, and this is not
			d.fail(validator.Errorf(validator.AlertNotSent, "%v", err), "somebody must be told when this is admitted, and could not be: %v", err)
			d.conclude(a)
			_ = h.alerts.Send(ctx, a) // of a denial; nobody waits for that
		}
	}
	if h.findings != nil {
		h.findings.Decided(a)
	}
}

// finding is the finding about the decision.
func (d *decision) finding(path string, now time.Time) *finding.Admission {
	a := finding.NewAdmission(path, d.request, d.verdict)
	a.Time, a.DurationSeconds = now, d.took.Seconds()
	d.conclude(a)
	return a
}

// conclude has the finding say how it ended.
func (d *decision) conclude(a *finding.Admission) {
	a.Allowed, a.Outcome, a.Reason = d.response.Allowed, d.outcome(), string(d.reason())
	if a.Reason != "" || a.Weak() {
		a.SetMessage(d.message())
	}
	if a.Type = findingTypes[a.Outcome]; a.Type == finding.Admitted && a.Weak() {
		a.Type = finding.Detected // strangers' signatures, expired ones, and so on
	}
}
