// Package admission serves Kubernetes admission webhooks: it turns admission
// requests into workloads for the engine, and verdicts into patches, denials
// and warnings. It also owns the webhook configurations and the certificate
// that they are called with.
package admission
