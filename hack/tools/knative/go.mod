// Definitions of custom resources that tests bring into a cluster.
module github.com/sse-secure-systems/connaisseur/hack/tools/knative

go 1.26.0

require knative.dev/serving v0.50.0
