// Package integration holds tests of the webhook, the real program, against a
// real API server. The images are in registries of the test process. They need
// KUBECONFIG and a webhook that hack/webhook.sh has started, and change its
// configuration, so that nobody else may use the cluster meanwhile:
//
//	hack/cluster.sh up
//	eval "$(hack/cluster.sh env)"
//	hack/webhook.sh up
//	go test -tags integration ./test/integration/...
//	hack/webhook.sh down
//	hack/cluster.sh down
//
// Tests that call t.Parallel leave the configuration alone, and run when those
// that change it are through: each of these puts back the base policy, which
// trusts one key for every registry on loopback. T1 to T38 in comments are the
// rows of the threat model.
package integration
