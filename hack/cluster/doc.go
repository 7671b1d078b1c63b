// Cluster is the part of hack/cluster.sh that a shell does badly: certificates
// and kubeconfigs, a registry with the images that the cluster itself needs,
// free ports, and a readiness check that trusts nothing but the cluster's own
// authority. It needs no program on the machine besides itself.
//
// The clusters it serves are for development and tests; none of its keys is
// meant to outlive the folder they are written to.
package main
