package main

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/retry"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/builtin"
)

// clusterOptions say which cluster, and where in it the configuration is.
type clusterOptions struct {
	kubeconfig, context, namespace string
}

// clusterReader reads the configuration's objects from a cluster.
type clusterReader func(context.Context, clusterOptions) (config.Objects, error)

// readCluster finds the cluster as kubectl does.
func readCluster(ctx context.Context, o clusterOptions) (config.Objects, error) {
	client, err := connect(o)
	if err != nil {
		return config.Objects{}, err
	}
	return config.ReadCluster(ctx, client, o.namespace)
}

// pullSecretsOf reads the pull secrets of workloads from a cluster, with the
// rights of the user.
func pullSecretsOf(o clusterOptions) (builtin.PullSecrets, error) {
	client, err := connect(o)
	if err != nil {
		return nil, err
	}
	return config.NewPullSecrets(client), nil
}

// secretReader reads a Secret of a cluster.
type secretReader func(ctx context.Context, namespace, name string) (map[string][]byte, error)

// secretsOf reads Secrets from a cluster, with the rights of the user.
func secretsOf(o clusterOptions) (secretReader, error) {
	client, err := connect(o)
	if err != nil {
		return nil, err
	}
	return config.ReadSecret(client), nil
}

func connect(o clusterOptions) (kubernetes.Interface, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: o.context}
	settings, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("there is no configuration: name files with --config, or a cluster with --kubeconfig and --context")
	}
	if err != nil {
		return nil, fmt.Errorf("the kubeconfig cannot be used: %w", err)
	}
	client, err := kubernetes.NewForConfig(rest.AddUserAgent(settings, "connaisseur"))
	if err != nil {
		return nil, fmt.Errorf("the cluster cannot be reached: %w", err)
	}
	return client, nil
}

// forgetIn changes the ConfigMap in which replicas tell one another what they have
// seen, with the rights of the user.
func forgetIn(ctx context.Context, o clusterOptions, server, repository string) (known bool, err error) {
	client, err := connect(o)
	if err != nil {
		return false, err
	}
	maps := client.CoreV1().ConfigMaps(o.namespace)
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		cm, err := maps.Get(ctx, config.VersionsName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		out, err := config.ForgetVersions(cm, server, repository)
		if known = out != nil; err != nil || !known {
			return err
		}
		_, err = maps.Update(ctx, out, metav1.UpdateOptions{})
		return err
	})
	return known, err
}
