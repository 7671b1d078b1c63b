package config

import (
	"os"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

// tell tells of what became of a configuration.
func (c Change) tell(findings *finding.Emitter) {
	data := finding.Config{Restored: c.Restored, Insecure: lines(c.Insecure), Errors: lines(c.Errors), Pod: os.Getenv("POD_NAME")}
	if c.Snapshot != nil {
		data.PolicyRevision, data.Rules = c.Snapshot.Revision, len(c.Snapshot.Rules)
	}
	if len(c.Errors) > 0 {
		findings.Tell(finding.ConfigRejected, source(c.Errors), data.PolicyRevision+c.Errors.Error(), data)
		return
	}
	findings.Tell(finding.ConfigApplied, PolicyName, data.PolicyRevision, data)
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
