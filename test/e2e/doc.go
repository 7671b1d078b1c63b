// Package e2e holds tests of the webhook as its users have it: installed by ko from
// config/, as Pods on nodes, behind a Service, with images that a kubelet pulls. They
// need KUBECONFIG, for a cluster without Connaisseur of which nobody else depends,
// KO_DOCKER_REPO, for a registry that this machine, the nodes and the Pods reach, and
// kubectl and ko:
//
//	hack/cluster.sh up --node
//	eval "$(hack/cluster.sh env)"
//	go test -tags e2e ./test/e2e/...
//	hack/cluster.sh down
//
// Those of Knative need what hack/knative.sh up installs.
//
// Two faults are made from outside of the cluster, by killing a process: a replica's
// and the API server's. They need the node of hack/cluster.sh; everything else runs
// on any cluster.
package e2e
