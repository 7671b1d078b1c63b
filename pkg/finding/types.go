package finding

import (
	"embed"
	"fmt"
	"slices"
	"strings"
)

// prefix begins the type of every event, and suffix ends it.
const (
	prefix = "io.github.sse-secure-systems.connaisseur."
	suffix = ".v1"
)

// Type is that of an event, as a CloudEvent has it.
type Type string

// The types of events. Each admission is one event.
const (
	// Admitted: a workload was let in, and nothing is wrong with it.
	Admitted Type = prefix + "admission.admitted" + suffix
	// Denied: it was checked and refused.
	Denied Type = prefix + "admission.denied" + suffix
	// Detected: it was let in although something is wrong with it, since the
	// configuration only detects, or accepts weak signatures.
	Detected Type = prefix + "admission.detected" + suffix
	// Inconclusive: it could not be checked, and was refused, or let in since none
	// of its images had changed.
	Inconclusive Type = prefix + "admission.inconclusive" + suffix
	// ExceptionUsed: it was let in by an exception of the policy.
	ExceptionUsed Type = prefix + "exception.used" + suffix
	// LastKnownGoodUsed: it could not be checked, and was let in since it was good
	// when it could.
	LastKnownGoodUsed Type = prefix + "lastknowngood.used" + suffix

	// ExceptionEnded: an exception of the policy is over.
	ExceptionEnded Type = prefix + "exception.ended" + suffix
	// ConfigApplied: a configuration is in force.
	ConfigApplied Type = prefix + "config.applied" + suffix
	// ConfigRejected: a configuration is refused, and the one before in force.
	ConfigRejected Type = prefix + "config.rejected" + suffix
	// TrustExpiring: trust material expires soon, or has.
	TrustExpiring Type = prefix + "trust.expiring" + suffix
)

// schemas names the file of each type's schema.
var schemas = map[Type]string{
	Admitted: "admission", Denied: "admission", Detected: "admission", Inconclusive: "admission",
	ExceptionUsed: "admission", LastKnownGoodUsed: "admission",
	ExceptionEnded: "exception", ConfigApplied: "config", ConfigRejected: "config", TrustExpiring: "trust",
}

// Types lists all types, sorted.
func Types() []Type {
	types := make([]Type, 0, len(schemas))
	for t := range schemas {
		types = append(types, t)
	}
	slices.Sort(types)
	return types
}

// Short is the type without what is the same in all: admission.denied.
func (t Type) Short() string {
	return strings.TrimSuffix(strings.TrimPrefix(string(t), prefix), suffix)
}

// schemaBase is where the schemas are published.
const schemaBase = "https://raw.githubusercontent.com/sse-secure-systems/connaisseur/main/pkg/finding/schema/"

// dataSchema is the URI of the schema of the type's data.
func (t Type) dataSchema() string { return schemaBase + schemas[t] + ".v1.json" }

//go:embed schema
var schemaFiles embed.FS

// Schema is the JSON Schema of the data of events of a type.
// https://json-schema.org/draft/2020-12
func Schema(t Type) ([]byte, error) {
	name, ok := schemas[t]
	if !ok {
		return nil, fmt.Errorf("there is no type of events %q", t)
	}
	return schemaFiles.ReadFile("schema/" + name + ".v1.json")
}
