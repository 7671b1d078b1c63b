// Package alert tells people what was decided: by Slack, Opsgenie, Microsoft Teams,
// Keybase, documents in the Elastic Common Schema, or whatever else takes JSON by
// HTTP.
//
// A payload is made of a template, which is a JSON document. What a variable stands
// for replaces it within a string of that document, and never becomes a part of its
// structure.
package alert
