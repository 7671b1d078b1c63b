package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// identity is a component as others see it. One with a kubeconfig talks to the
// API server; one with hosts serves under these names and addresses.
type identity struct {
	file                     string
	commonName, organization string
	hosts                    []string
	kubeconfig               bool
}

// identities are those of one cluster. The names and groups are the ones that
// Kubernetes' authorizers know: https://kubernetes.io/docs/setup/best-practices/certificates/
func identities(apiHosts []string, node string, nodeHosts []string) []identity {
	loopback := []string{"localhost", "127.0.0.1"}
	apiHosts = append([]string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		"localhost", "127.0.0.1",
	}, apiHosts...)
	return []identity{
		{file: "etcd", commonName: "etcd", hosts: loopback},
		{file: "kube-apiserver", commonName: "kube-apiserver", hosts: apiHosts},
		{file: "kubelet-client", commonName: "kube-apiserver-kubelet-client", organization: "system:masters"},
		{file: "admin", commonName: "kubernetes-admin", organization: "system:masters", kubeconfig: true},
		{file: "kube-controller-manager", commonName: "system:kube-controller-manager", hosts: loopback, kubeconfig: true},
		{file: "kube-scheduler", commonName: "system:kube-scheduler", hosts: loopback, kubeconfig: true},
		{file: "kube-proxy", commonName: "system:kube-proxy", kubeconfig: true},
		{
			file: "kubelet", commonName: "system:node:" + node, organization: "system:nodes",
			hosts: append([]string{node, "127.0.0.1"}, nodeHosts...), kubeconfig: true,
		},
	}
}

func runCerts(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("certs", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder to write to")
	server := flags.String("server", "", "URL of the API server in the kubeconfigs")
	apiHosts := flags.String("api-hosts", "", "further names and addresses of the API server, with commas")
	node := flags.String("node", "node1", "name of the node")
	nodeHosts := flags.String("node-hosts", "", "addresses of the node, with commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" || *server == "" {
		return fmt.Errorf("certs wants -dir and -server")
	}
	return writeCerts(*dir, *server, identities(list(*apiHosts), *node, list(*nodeHosts)))
}

func list(commas string) []string {
	return strings.FieldsFunc(commas, func(r rune) bool { return r == ',' })
}

// writeCerts fills dir. Everything in it that grants something is readable by
// its owner only.
func writeCerts(dir, server string, ids []identity) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := newAuthority("connaisseur-cluster")
	if err != nil {
		return err
	}
	if err := ca.write(dir, "ca"); err != nil {
		return err
	}
	if err := writeServiceAccountKey(dir); err != nil {
		return err
	}
	for _, id := range ids {
		issued, err := ca.issue(id)
		if err != nil {
			return err
		}
		if err := issued.write(dir, id.file); err != nil {
			return err
		}
		if !id.kubeconfig {
			continue
		}
		path := filepath.Join(dir, id.file+".kubeconfig")
		if err := os.WriteFile(path, kubeconfig(server, id.file, ca.cert, issued), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// write stores the pair as NAME.crt and NAME.key.
func (p pair) write(dir, name string) error {
	if err := os.WriteFile(filepath.Join(dir, name+".crt"), p.cert, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".key"), p.key, 0o600)
}

// writeServiceAccountKey makes the key pair of service-account tokens: the
// controller-manager and the API server sign with sa.key, sa.pub verifies.
func writeServiceAccountKey(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := encodeKey(key)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "sa.pub"), public, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "sa.key"), private, 0o600)
}
