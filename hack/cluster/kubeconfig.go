package main

import (
	"encoding/base64"
	"fmt"
)

// kubeconfigFormat wants user, server, authority, certificate and key.
const kubeconfigFormat = `apiVersion: v1
kind: Config
current-context: connaisseur-cluster
contexts:
- name: connaisseur-cluster
  context: {cluster: connaisseur-cluster, user: %[1]s}
clusters:
- name: connaisseur-cluster
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s
  user:
    client-certificate-data: %[4]s
    client-key-data: %[5]s
`

// kubeconfig carries its certificates inside, so that it can be copied alone.
func kubeconfig(server, user string, ca []byte, client pair) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, kubeconfigFormat, user, server, encode(ca), encode(client.cert), encode(client.key))
}
