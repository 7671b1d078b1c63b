//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
)

// The ConfigMaps of the configuration.
const (
	policyName     = "config-policy"
	trustRootsName = "config-trust-roots"
	featuresName   = "config-features"
	workloadsName  = "config-workloads"
	alertingName   = "config-alerting"
)

var configMaps = []string{trustRootsName, featuresName, workloadsName, alertingName, policyName}

// configuration is what the ConfigMaps hold.
type configuration map[string]map[string]string

// baseRules verify every image on loopback, whether or not it is a registry,
// and at the address of clouds' metadata services; policy[1] is the one for
// the images of most tests.
const baseRules = `
- pattern: "*:*"
  validator: deny
- pattern: "127.0.0.1:*/*:*"
  validator: ours
  with: {verifyInTransparencyLog: false}
- pattern: "localhost:*/*:*"
  validator: ours
  with: {verifyInTransparencyLog: false}
- pattern: "169.254.169.254/*:*"
  validator: ours
  with: {verifyInTransparencyLog: false}
`

const baseValidators = `
- name: allow
  type: static
  approve: true
- name: deny
  type: static
  approve: false
- name: ours
  type: cosign
  trustRoots:
    - name: default
      key: configmap://config-trust-roots/ours.pub
`

func baseConfiguration() configuration {
	return configuration{
		trustRootsName: {"ours.pub": string(registrytest.PublicPEM(registrytest.Panics, ours))},
		featuresName:   {},
		workloadsName:  {},
		alertingName:   {},
		policyName: {
			"validators": baseValidators,
			"policy":     baseRules,
			"registries": fmt.Sprintf("- {host: %q, insecure: true}\n", reg.Host()),
		},
	}
}

// with is the base policy with more rules.
func (c configuration) with(rules string) configuration {
	return c.set(policyName, "policy", c[policyName]["policy"]+strings.TrimLeft(rules, "\n"))
}

// set is the configuration with another value for one key.
func (c configuration) set(name, key, value string) configuration {
	out := maps.Clone(c)
	out[name] = maps.Clone(c[name])
	if out[name] == nil {
		out[name] = map[string]string{}
	}
	out[name][key] = value
	return out
}

// apply writes the ConfigMaps that differ.
func (c configuration) apply(ctx context.Context) error {
	for _, name := range configMaps {
		if data, ok := c[name]; ok {
			if err := writeConfigMap(ctx, cluster, name, data, metav1.UpdateOptions{}); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// writeConfigMap gives a ConfigMap of ours this content.
func writeConfigMap(ctx context.Context, client kubernetes.Interface, name string, data map[string]string, options metav1.UpdateOptions) error {
	mine := client.CoreV1().ConfigMaps(ownNamespace)
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		cm, err := mine.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = mine.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}, metav1.CreateOptions{DryRun: options.DryRun})
			return err
		}
		if err != nil || maps.Equal(cm.Data, data) {
			return err
		}
		cm.Data = data
		_, err = mine.Update(ctx, cm, options)
		return err
	})
}

// configure puts a configuration into the cluster for the rest of a test, after
// which the base is in force again. It does not wait: what is waited for is the
// effect.
func configure(t *testing.T, c configuration) {
	t.Helper()
	t.Cleanup(func() { restoreBase(t) })
	if err := c.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func restoreBase(t *testing.T) {
	t.Helper()
	if err := base.apply(context.Background()); err != nil {
		t.Error(err)
	}
	err := clustertest.Poll(context.Background(), patience, func(ctx context.Context) error {
		state, err := hook.readiness(ctx)
		if err == nil && state != "ready, policy revision "+baseRevision {
			err = errors.New(state)
		}
		if err != nil {
			return err
		}
		return areAsShipped(ctx)
	})
	if err != nil {
		t.Errorf("the base configuration is not in force again: %v", err)
	}
}

// letThrough has the policy allow the image without a signature, until
// verifyAgain or the end of the test. What is stored meanwhile is as old as
// the policy.
func letThrough(t *testing.T, images ...registrytest.Image) {
	t.Helper()
	rules := ""
	for _, image := range images {
		rules += fmt.Sprintf("- {pattern: %q, validator: allow}\n", image.Name())
	}
	configure(t, base.with(rules))
	for _, image := range images {
		clustertest.Within(t, promised, func(ctx context.Context) error { return try(ctx, "default", image.Name()+":other") })
	}
}

// verifyAgain ends what letThrough began.
func verifyAgain(t *testing.T, images ...registrytest.Image) {
	t.Helper()
	if err := base.apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, image := range images {
		clustertest.Within(t, promised, func(ctx context.Context) error { return clustertest.Denied(try(ctx, "default", image.Name()+":other")) })
	}
}
