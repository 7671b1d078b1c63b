//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

// The names of the webhook configurations.
const (
	registered       = "connaisseur"
	registeredConfig = "connaisseur-config"
)

// areAsShipped complains unless everything registered is what the shipped
// features want.
func areAsShipped(ctx context.Context) error {
	r, err := readRegistrations(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		hasSettings(r.mutating.TimeoutSeconds, r.mutating.FailurePolicy, 10, admissionregistrationv1.Fail),
		hasSettings(r.validating.TimeoutSeconds, r.validating.FailurePolicy, 10, admissionregistrationv1.Fail),
		hasSettings(r.config.TimeoutSeconds, r.config.FailurePolicy, 10, admissionregistrationv1.Ignore),
		areExcluded(ctx, "kube-system"),
	)
}

// areExcluded complains unless both webhooks leave out our own namespace and
// these.
func areExcluded(ctx context.Context, namespaces ...string) error {
	r, err := readRegistrations(ctx)
	if err != nil {
		return err
	}
	want := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: append([]string{ownNamespace}, namespaces...),
	}}}
	for _, got := range []*metav1.LabelSelector{r.mutating.NamespaceSelector, r.validating.NamespaceSelector} {
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("the namespaces differ (-want +got):\n%s", diff)
		}
	}
	return nil
}

func hasSettings(timeout *int32, policy *admissionregistrationv1.FailurePolicyType, wantTimeout int32, want admissionregistrationv1.FailurePolicyType) error {
	if ptr.Deref(timeout, 0) != wantTimeout || ptr.Deref(policy, "") != want {
		return fmt.Errorf("timeout %d and failure policy %s, want %d and %s", ptr.Deref(timeout, 0), ptr.Deref(policy, ""), wantTimeout, want)
	}
	return nil
}

// registrations reads all three; the API server defaults what is not set.
type registrations struct {
	mutating   admissionregistrationv1.MutatingWebhook
	validating admissionregistrationv1.ValidatingWebhook
	config     admissionregistrationv1.ValidatingWebhook
}

func readRegistrations(ctx context.Context) (r registrations, err error) {
	m, err := cluster.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, registered, metav1.GetOptions{})
	if err != nil {
		return r, err
	}
	v, err := cluster.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, registered, metav1.GetOptions{})
	if err != nil {
		return r, err
	}
	c, err := cluster.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(ctx, registeredConfig, metav1.GetOptions{})
	if err != nil {
		return r, err
	}
	return registrations{m.Webhooks[0], v.Webhooks[0], c.Webhooks[0]}, nil
}

func TestWhatIsRegistered(t *testing.T) {
	t.Parallel()
	r, err := readRegistrations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"v1 [pods pods/ephemeralcontainers replicationcontrollers]",
		"apps/v1 [deployments replicasets daemonsets statefulsets]",
		"batch/v1 [jobs cronjobs]",
	}
	for name, rules := range map[string][]admissionregistrationv1.RuleWithOperations{"mutating": r.mutating.Rules, "validating": r.validating.Rules} {
		var got []string
		for _, rule := range rules {
			got = append(got, strings.TrimPrefix(fmt.Sprintf("%s/%s %v", rule.APIGroups[0], rule.APIVersions[0], rule.Resources), "/"))
			if !slices.Contains(rule.Operations, admissionregistrationv1.Create) || !slices.Contains(rule.Operations, admissionregistrationv1.Update) {
				t.Errorf("%s: operations %v", name, rule.Operations)
			}
		}
		for _, rule := range want {
			if !slices.Contains(got, rule) {
				t.Errorf("the %s rules lack %s: %q", name, rule, got)
			}
		}
	}
	if err := areAsShipped(t.Context()); err != nil {
		t.Error(err)
	}
	if got := ptr.Deref(r.mutating.ReinvocationPolicy, ""); got != admissionregistrationv1.IfNeededReinvocationPolicy {
		t.Errorf("reinvocation policy %s", got)
	}
}

func TestRegistrationsFollowTheFeatures(t *testing.T) {
	configure(t, base.
		set(featuresName, "webhook.timeoutSeconds", "7").
		set(featuresName, "webhook.failurePolicy", "Ignore"))
	clustertest.Within(t, promised, func(ctx context.Context) error {
		r, err := readRegistrations(ctx)
		if err != nil {
			return err
		}
		return errors.Join(
			hasSettings(r.mutating.TimeoutSeconds, r.mutating.FailurePolicy, 7, admissionregistrationv1.Ignore),
			hasSettings(r.validating.TimeoutSeconds, r.validating.FailurePolicy, 7, admissionregistrationv1.Ignore),
			hasSettings(r.config.TimeoutSeconds, r.config.FailurePolicy, 7, admissionregistrationv1.Ignore),
		)
	})
}

func TestHandEditsOfRegistrationsArePutBack(t *testing.T) {
	mutating, validating := cluster.AdmissionregistrationV1().MutatingWebhookConfigurations(), cluster.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	before, err := readRegistrations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	edits := []struct {
		name       string
		mutating   func(*admissionregistrationv1.MutatingWebhook)
		validating func(*admissionregistrationv1.ValidatingWebhook)
	}{
		{"that admit everything when the webhook is down",
			func(w *admissionregistrationv1.MutatingWebhook) {
				w.FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
			},
			func(w *admissionregistrationv1.ValidatingWebhook) {
				w.FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
			}},
		{"that leave kinds out",
			func(w *admissionregistrationv1.MutatingWebhook) { w.Rules = w.Rules[:1] },
			func(w *admissionregistrationv1.ValidatingWebhook) { w.Rules = nil }},
		{"that let namespaces opt out",
			func(w *admissionregistrationv1.MutatingWebhook) { w.NamespaceSelector = optIn() },
			func(w *admissionregistrationv1.ValidatingWebhook) { w.NamespaceSelector = optIn() }},
		{"that let objects opt out",
			func(w *admissionregistrationv1.MutatingWebhook) { w.ObjectSelector = optIn() },
			func(w *admissionregistrationv1.ValidatingWebhook) {
				w.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "never", Expression: "false"}}
			}},
		{"that take the authority away",
			func(w *admissionregistrationv1.MutatingWebhook) { w.ClientConfig.CABundle = nil },
			func(w *admissionregistrationv1.ValidatingWebhook) { w.ClientConfig.CABundle = nil }},
	}
	for _, edit := range edits {
		t.Run(edit.name, func(t *testing.T) {
			m, err := mutating.Get(t.Context(), registered, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			edit.mutating(&m.Webhooks[0])
			if _, err := mutating.Update(t.Context(), m, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{registered, registeredConfig} {
				v, err := validating.Get(t.Context(), name, metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				edit.validating(&v.Webhooks[0])
				if _, err := validating.Update(t.Context(), v, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			clustertest.Within(t, promised, func(ctx context.Context) error {
				after, err := readRegistrations(ctx)
				if err != nil {
					return err
				}
				if diff := cmp.Diff(before, after, cmp.AllowUnexported(registrations{})); diff != "" {
					return fmt.Errorf("they are not as before (-want +got):\n%s", diff)
				}
				return nil
			})
		})
	}
}

func optIn() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"opt": "in"}}
}
