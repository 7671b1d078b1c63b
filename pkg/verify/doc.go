// Package verify is the engine: it decides, for a workload and a snapshot of
// the configuration, which of the workload's images may run.
//
// It knows the policy and the Validator interface, and neither Kubernetes nor
// any registry, so that the command line runs the very same engine as the
// webhook.
package verify
