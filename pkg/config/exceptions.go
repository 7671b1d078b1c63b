package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// exceptionConfig is an item of the list exceptions.
type exceptionConfig struct {
	Pattern    string   `config:"pattern"`
	Namespaces []string `config:"namespaces"`
	Until      string   `config:"until"`
	Reason     string   `config:"reason"`
}

// parseExceptions compiles exceptions. One without an end or a reason is none.
func parseExceptions(configs []exceptionConfig) (exceptions []verify.Exception, errs strict.Errors) {
	for i, config := range configs {
		at := fmt.Sprintf("%s[%d]", exceptionsKey, i)
		e := verify.Exception{Index: i, Pattern: config.Pattern, Reason: config.Reason}
		compiled, bad := policy.Compile([]policy.Rule{{Pattern: config.Pattern, Namespaces: config.Namespaces}})
		for _, b := range bad {
			errs.Add(at+"."+b.Field, "%v", b.Err)
		}
		e.Compiled = compiled
		var err error
		if e.Until, err = time.Parse(time.RFC3339, config.Until); config.Until == "" {
			errs.Add(at+".until", "is missing; an exception must end, at a time such as 2026-01-31T18:00:00Z")
		} else if err != nil {
			errs.Add(at+".until", "%q must be a time such as 2026-01-31T18:00:00Z (RFC 3339), in quotes", config.Until)
		}
		if strings.TrimSpace(config.Reason) == "" {
			errs.Add(at+".reason", "is missing; it stands in every trace that the exception leaves")
		}
		exceptions = append(exceptions, e)
	}
	return exceptions, errs
}

// weakExceptions warns of each exception: of those that hold, and of those that
// have ended and should go.
func weakExceptions(exceptions []verify.Exception, now time.Time) (insecure, ended strict.Errors) {
	for _, e := range exceptions {
		at, until := fmt.Sprintf("%s[%d]", exceptionsKey, e.Index), e.Until.UTC().Format(time.RFC3339)
		if now.Before(e.Until) {
			insecure.Add(at, "images of %s are admitted until %s, whatever is wrong with them: %s", e.Pattern, until, e.Reason)
		} else {
			ended.Add(at, "has ended at %s; take it out", until)
		}
	}
	return insecure.From(PolicyName), ended.From(PolicyName)
}

// ends tells of each exception of the snapshot in force when it ends.
type ends struct{ timers []*time.Timer }

// watch has tell called at the end of each, until it is called again.
func (e *ends) watch(snapshot *verify.Snapshot, now time.Time, tell func(verify.Exception)) {
	for _, timer := range e.timers {
		timer.Stop()
	}
	e.timers = nil
	for _, exception := range snapshot.Exceptions {
		if left := exception.Until.Sub(now); left > 0 {
			e.timers = append(e.timers, time.AfterFunc(left, func() { tell(exception) }))
		}
	}
}

// ended leaves the traces of an exception's end.
func (w *watcher) ended(e verify.Exception) {
	var what strict.Errors
	what.Add(fmt.Sprintf("%s[%d]", exceptionsKey, e.Index), "has ended: images of %s are denied again if anything is wrong with them", e.Pattern)
	w.logger.Infow("An exception has ended", "exception", e.Index, "pattern", e.Pattern, "reason", e.Reason)
	w.findings.Tell(finding.ExceptionEnded, PolicyName, fmt.Sprint(e.Index, e.Pattern, e.Until), finding.Exception{Exception: e.Index, Pattern: e.Pattern, Until: e.Until, Reason: e.Reason})
	w.event("ExceptionEnded", what.From(PolicyName), "its reason was: "+e.Reason)
}
