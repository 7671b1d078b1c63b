package config

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// tell tells of what became of a configuration.
func (c Change) tell(findings *finding.Emitter) {
	data := finding.Config{Restored: c.Restored, Insecure: lines(c.Insecure), Errors: lines(c.Errors), Pod: os.Getenv("POD_NAME")}
	if c.Snapshot != nil {
		data.PolicyRevision, data.Rules = c.Snapshot.Revision, len(c.Snapshot.Rules)
	}
	if len(c.Errors) > 0 {
		findings.Tell(finding.ConfigRejected, source(c.Errors), data.PolicyRevision+c.Errors.Error()+c.edition, data)
		return
	}
	findings.Tell(finding.ConfigApplied, PolicyName, data.PolicyRevision+c.edition, data)
}

// expirySoon is how long before it expires trust material is told of, once a day.
const expirySoon = 30 * 24 * time.Hour

// expiries tells of trust material that expires.
type expiries struct {
	inForce atomic.Pointer[[]observability.Expiry]
	told    map[string]bool // what has been told
}

// run looks every minute until ctx ends.
func (e *expiries) run(ctx context.Context, findings *finding.Emitter) {
	for {
		e.tell(findings, time.Now().UTC())
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute):
		}
	}
}

// tell tells of what expires soon or has expired, and was not told today.
func (e *expiries) tell(findings *finding.Emitter, now time.Time) {
	all := e.inForce.Load()
	if all == nil {
		return
	}
	told := map[string]bool{}
	for _, x := range *all {
		if x.At.Sub(now) > expirySoon {
			continue
		}
		what := fmt.Sprintf("%q %q %d %s", x.Validator, x.TrustRoot, x.At.Unix(), now.Format(time.DateOnly))
		if told[what] = true; !e.told[what] {
			findings.Tell(finding.TrustExpiring, PolicyName, what, finding.Trust{Validator: x.Validator, TrustRoot: x.TrustRoot, Expires: x.At, Expired: !x.At.After(now)})
		}
	}
	e.told = told
}

// maxLines bounds how much an event says about settings.
const maxLines = 50

func lines(errs strict.Errors) (lines []string) {
	for _, e := range errs[:min(len(errs), maxLines)] {
		line := e.Error()
		lines = append(lines, line[:min(len(line), maxEvent)])
	}
	return lines
}
