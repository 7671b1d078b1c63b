package alert

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// Variables are those that a template can have. The first eight are Connaisseur 3's.
var Variables = []string{
	"alert_message", "priority", "connaisseur_pod_id", "namespace", "cluster", "timestamp", "request_id", "images",
	"alert_id", "summary", "decision", "outcome", "reason", "workload", "kind", "name", "user",
}

// limit is how many bytes a variable takes in a payload. With these the shipped
// templates stay within what their receivers take: Slack 2000 characters in a field,
// Opsgenie 130 in a message.
func limit(variable string) int {
	switch variable {
	case "alert_message", "images":
		return 1500
	case "summary":
		return 120
	}
	return 300
}

// none is what a variable stands for if there is nothing.
const none = "none"

// values are what variables stand for in an alert.
type values map[string]string

// valuesOf are those of an alert about an admission.
func valuesOf(a *finding.Admission, id string) values {
	name := workload(a)
	what, summary := "rejected a request: ", "rejected"
	switch {
	case a.Outcome == detected:
		what, summary = "admitted a request although something is wrong with it: ", "would have rejected"
	case a.Allowed && a.Message == "":
		what, summary = "admitted a request.", "admitted"
	case a.Allowed:
		what, summary = "admitted a request: ", "admitted"
	}
	decision := "denied"
	if a.Allowed {
		decision = "allowed"
	}
	summary = "CONNAISSEUR " + summary + " " + name
	if a.Namespace != "" {
		summary += " in " + a.Namespace
	}
	return values{
		"alert_message": "CONNAISSEUR " + what + strings.ReplaceAll(a.Message, "\n", "; "),
		"namespace":     a.Namespace,
		"timestamp":     a.Time.UTC().Format(time.RFC3339),
		"request_id":    a.Request.UID,
		"images":        imagesOf(a),
		"alert_id":      id,
		"summary":       summary,
		"decision":      decision,
		"outcome":       a.Outcome,
		"reason":        a.Reason,
		"workload":      name,
		"kind":          a.Workload.Kind,
		"name":          a.Workload.Name,
		"user":          a.User,
	}
}

// workload names what was decided about; something without a name is its owner's.
func workload(a *finding.Admission) string {
	switch {
	case a.Workload.Name != "":
		return a.Workload.Kind + " " + a.Workload.Name
	case a.Workload.Owner != "":
		return a.Workload.Kind + " of " + a.Workload.Owner
	}
	return a.Workload.Kind
}

// imagesOf lists the references of a workload, each once.
func imagesOf(a *finding.Admission) string {
	var references []string
	for _, img := range a.Images {
		if !slices.Contains(references, img.Reference) {
			references = append(references, img.Reference)
		}
	}
	if more := a.ImageCount - len(a.Images); more > 0 {
		references = append(references, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(references, ", ")
}

// with adds what is the receiver's and the webhook's.
func (v values) with(r *Receiver, cluster, pod string) values {
	v["priority"], v["cluster"], v["connaisseur_pod_id"] = strconv.Itoa(r.priority), cluster, pod
	for _, name := range Variables {
		v[name] = cmp.Or(v[name], none)
	}
	return v
}

// detected is the outcome of what was let in although something is wrong with it.
const detected = "Detected"

// Sample is what a test alert tells of: nothing that ever happened.
func Sample(allowed bool, now time.Time) *finding.Admission {
	a := &finding.Admission{
		Request:    finding.Request{UID: "00000000-0000-0000-0000-000000000000", Operation: "CREATE", Webhook: "/validate"},
		User:       "connaisseur alert test",
		Namespace:  "default",
		Workload:   finding.Workload{APIVersion: "v1", Kind: "Pod", Name: "alert-test"},
		Allowed:    allowed,
		Outcome:    verify.Trusted.String(),
		Type:       finding.Admitted,
		Message:    "this is a test, and nothing has happened",
		ImageCount: 1,
		Images:     []finding.Image{{Field: "spec.containers[0].image", Reference: "registry.example.com/alert-test:v1"}},
		Time:       now,
	}
	if !allowed {
		a.Outcome, a.Type = verify.Denied.String(), finding.Denied
	}
	return a
}
