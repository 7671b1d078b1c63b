package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/registrytest"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// entries are the data of one object.
type entries map[string]string

func configMap(name string, data entries) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "connaisseur"}, Data: data}
}

func secret(name string, data entries) *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "connaisseur"}, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return s
}

// objects puts ConfigMaps and Secrets together.
func objects(all ...any) config.Objects {
	o := config.Objects{Namespace: "connaisseur", ConfigMaps: map[string]*corev1.ConfigMap{}, Secrets: map[string]*corev1.Secret{}}
	for _, object := range all {
		switch object := object.(type) {
		case *corev1.ConfigMap:
			o.ConfigMaps[object.Name] = object
		case *corev1.Secret:
			o.Secrets[object.Name] = object
		}
	}
	return o
}

const (
	allowValidator = "- name: allow\n  type: static\n  approve: true\n"
	allowAll       = "- pattern: '*:*'\n  validator: allow\n"
)

// allowing is the smallest good configuration.
func allowing() *corev1.ConfigMap {
	return policyOf(allowValidator, allowAll)
}

func policyOf(validators, policy string) *corev1.ConfigMap {
	return configMap(config.PolicyName, entries{"validators": validators, "policy": policy})
}

func features(data entries) *corev1.ConfigMap { return configMap(config.FeaturesName, data) }

const rollouts = "[{group: argoproj.io, version: v1alpha1, kind: Rollout, paths: [spec.template.spec]}]"

func workloads(list string) *corev1.ConfigMap {
	return configMap(config.WorkloadsName, entries{"workloads": list})
}

func trustRoots(data entries) *corev1.ConfigMap { return configMap(config.TrustRootsName, data) }

func publicKey(t testing.TB) string {
	t.Helper()
	return string(registrytest.PublicPEM(t, registrytest.Key(t)))
}

// cosignPolicy refers to one key for all images.
func cosignPolicy(key string) *corev1.ConfigMap {
	return policyOf("- name: default\n  type: cosign\n  trustRoots:\n  - name: default\n    key: "+key+"\n",
		"- pattern: '*:*'\n  with:\n    verifyInTransparencyLog: false\n")
}

func builder() *config.Builder { return config.NewBuilder(cache.New(cache.Options{})) }

func build(t testing.TB, o config.Objects) *verify.Snapshot {
	t.Helper()
	built := builder().Build(o)
	if len(built.Errors) > 0 || built.Snapshot == nil {
		t.Fatalf("it does not build: %v", built.Errors)
	}
	return built.Snapshot
}

func texts(errs strict.Errors) []string {
	var all []string
	for _, err := range errs {
		all = append(all, err.Error())
	}
	return all
}

// wantTexts compares errors with their beginnings, in any order.
func wantTexts(t testing.TB, got strict.Errors, want ...string) {
	t.Helper()
	left := texts(got)
	for _, w := range want {
		found := false
		for i, text := range left {
			if strings.Contains(text, w) {
				left, found = append(left[:i:i], left[i+1:]...), true
				break
			}
		}
		if !found {
			t.Errorf("want %q in:\n%v", w, got)
		}
	}
	if diff := cmp.Diff([]string{}, append([]string{}, left...)); diff != "" {
		t.Errorf("not wanted:\n%s", diff)
	}
}
