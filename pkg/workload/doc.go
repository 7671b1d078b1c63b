// Package workload finds the images of a Kubernetes object, and where in the
// object each of them stands.
package workload
