// Package finding turns what was decided, and what became of the configuration,
// into CloudEvents, and has them delivered to sinks without anybody waiting.
//
// Their types end in a version. Within one, data only gains fields that may be
// missing; Schema gives its JSON Schema.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
package finding
