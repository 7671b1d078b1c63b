package admission

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	admissionlisters "k8s.io/client-go/listers/admissionregistration/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/reconciler"
	certresources "knative.dev/pkg/webhook/certificates/resources"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

func byService() admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "connaisseur", Name: "webhook", Port: ptr.To(int32(8443))}}
}

func byURL() admissionregistrationv1.WebhookClientConfig {
	return admissionregistrationv1.WebhookClientConfig{URL: ptr.To("https://10.0.0.1:8443/mutate")}
}

// cluster holds the three configurations.
type cluster struct {
	mutating   *admissionregistrationv1.MutatingWebhookConfiguration
	validating map[string]*admissionregistrationv1.ValidatingWebhookConfiguration
}

func installed(client admissionregistrationv1.WebhookClientConfig) cluster {
	c := cluster{
		mutating: &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: WorkloadsName},
			Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: "workloads", ClientConfig: client}}},
		validating: map[string]*admissionregistrationv1.ValidatingWebhookConfiguration{},
	}
	for _, name := range []string{WorkloadsName, ConfigName} {
		c.validating[name] = &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: name, ClientConfig: *client.DeepCopy()}}}
	}
	return c
}

func reconcile(t testing.TB, c cluster, secret *corev1.Secret, snapshots Snapshots, leads bool) (cluster, int, error) {
	t.Helper()
	m, v := cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil), cache.NewIndexer(cache.MetaNamespaceKeyFunc, nil)
	client := fake.NewSimpleClientset(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "connaisseur", UID: "the namespace"}})
	if c.mutating != nil {
		_ = m.Add(c.mutating)
		_ = client.Tracker().Add(c.mutating)
	}
	for _, one := range c.validating {
		_ = v.Add(one)
		_ = client.Tracker().Add(one)
	}
	r := &configurations{
		client: client, mutating: admissionlisters.NewMutatingWebhookConfigurationLister(m), validating: admissionlisters.NewValidatingWebhookConfigurationLister(v),
		secrets: secretLister(t, secret), secretName: "certificate", snapshots: snapshots,
		key: types.NamespacedName{Namespace: "connaisseur", Name: "webhook-configurations"},
	}
	if leads {
		if err := r.Promote(reconciler.UniversalBucket(), nil); err != nil {
			t.Fatal(err)
		}
	}
	err := r.Reconcile(quiet(t), r.key.String())
	calls := 0
	for _, action := range client.Actions() {
		if action.GetVerb() != "get" {
			calls++
		}
	}
	after := cluster{validating: map[string]*admissionregistrationv1.ValidatingWebhookConfiguration{}}
	if c.mutating != nil {
		after.mutating, _ = client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(t.Context(), WorkloadsName, metav1.GetOptions{})
	}
	for name := range c.validating {
		after.validating[name], _ = client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(t.Context(), name, metav1.GetOptions{})
	}
	return after, calls, err
}

func certificateWith(authority string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: certificateSecret, Data: map[string][]byte{certresources.CACert: []byte(authority)}}
}

func noSnapshot() (*verify.Snapshot, error) { return nil, errors.New("not yet") }

func settings(s feature.Settings) Snapshots {
	return func() (*verify.Snapshot, error) {
		return &verify.Snapshot{Features: s, Workloads: workload.Builtin()}, nil
	}
}

func namespaces(excluded ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: excluded}}}
}

func TestTheConfigurationsAreFilledIn(t *testing.T) {
	t.Parallel()
	got, calls, err := reconcile(t, installed(byService()), certificateWith("CA"), noSnapshot, true)
	if err != nil || calls != 3 {
		t.Fatalf("%v, %d calls", err, calls)
	}
	rules := workloadRules(workload.Builtin())
	connected := func(path string) admissionregistrationv1.WebhookClientConfig {
		c := byService()
		c.Service.Path, c.CABundle = &path, []byte("CA")
		return c
	}
	for name, owners := range map[string][]metav1.OwnerReference{
		"mutating": got.mutating.OwnerReferences, "validating": got.validating[WorkloadsName].OwnerReferences, "config": got.validating[ConfigName].OwnerReferences,
	} {
		if diff := cmp.Diff([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: "connaisseur", UID: "the namespace"}}, owners); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	wantMutating := []admissionregistrationv1.MutatingWebhook{{
		Name: "workloads", ClientConfig: connected("/mutate"), Rules: rules, FailurePolicy: ptr.To(admissionregistrationv1.Fail),
		MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), NamespaceSelector: namespaces("connaisseur", "kube-system"), ObjectSelector: &metav1.LabelSelector{},
		SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNoneOnDryRun), TimeoutSeconds: ptr.To(int32(10)), ReinvocationPolicy: ptr.To(admissionregistrationv1.IfNeededReinvocationPolicy),
	}}
	if diff := cmp.Diff(wantMutating, got.mutating.Webhooks); diff != "" {
		t.Error(diff)
	}
	wantValidating := []admissionregistrationv1.ValidatingWebhook{{
		Name: WorkloadsName, ClientConfig: connected("/validate"), Rules: rules, FailurePolicy: ptr.To(admissionregistrationv1.Fail),
		MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), NamespaceSelector: namespaces("connaisseur", "kube-system"), ObjectSelector: &metav1.LabelSelector{},
		SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNoneOnDryRun), TimeoutSeconds: ptr.To(int32(10)),
	}}
	if diff := cmp.Diff(wantValidating, got.validating[WorkloadsName].Webhooks); diff != "" {
		t.Error(diff)
	}
	wantConfig := []admissionregistrationv1.ValidatingWebhook{{
		Name: ConfigName, ClientConfig: connected("/config"), FailurePolicy: ptr.To(admissionregistrationv1.Ignore),
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{"CREATE", "UPDATE"},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}, Scope: ptr.To(admissionregistrationv1.NamespacedScope)},
		}},
		MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": "connaisseur"}},
		ObjectSelector: &metav1.LabelSelector{}, SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), TimeoutSeconds: ptr.To(int32(10)),
	}}
	if diff := cmp.Diff(wantConfig, got.validating[ConfigName].Webhooks); diff != "" {
		t.Error(diff)
	}
	if again, calls, err := reconcile(t, got, certificateWith("CA"), noSnapshot, true); err != nil || calls != 0 || !cmp.Equal(again, got, cmp.AllowUnexported(cluster{})) {
		t.Errorf("a second time: %v, %d calls", err, calls)
	}
}

// T8: the rules name every kind, subresources included, for exactly the
// operations that can bring an image in.
func TestT8TheRulesCoverEveryKind(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, rule := range workloadRules(workload.Builtin()) {
		if diff := cmp.Diff([]admissionregistrationv1.OperationType{"CREATE", "UPDATE"}, rule.Operations); diff != "" {
			t.Error(diff)
		}
		for _, resource := range rule.Resources {
			covered[rule.APIGroups[0]+"/"+resource] = true
		}
	}
	for _, want := range []string{"/pods", "/pods/ephemeralcontainers", "/replicationcontrollers", "apps/deployments", "apps/replicasets", "apps/daemonsets",
		"apps/statefulsets", "batch/jobs", "batch/cronjobs"} {
		if !covered[want] {
			t.Errorf("%s is not covered", want)
		}
	}
}

func TestSettingsReachTheConfigurationsAndNothingElseIsTouched(t *testing.T) {
	t.Parallel()
	s := feature.Default()
	s.ExcludedNamespaces, s.Webhook = []string{"a", "b"}, feature.Webhook{FailurePolicy: feature.Ignore, TimeoutSeconds: 3}
	c := installed(byURL())
	// T12: somebody has narrowed what is called.
	c.mutating.Webhooks[0].ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
	c.mutating.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"policy": "on"}}
	c.mutating.Webhooks[0].MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "never", Expression: "false"}}
	c.mutating.Labels = map[string]string{"keep": "me"}
	got, _, err := reconcile(t, c, certificateWith("CA"), settings(s), true)
	if err != nil {
		t.Fatal(err)
	}
	w := got.mutating.Webhooks[0]
	if *w.ClientConfig.URL != *byURL().URL || w.ClientConfig.Service != nil || string(w.ClientConfig.CABundle) != "CA" {
		t.Errorf("the URL was changed: %+v", w.ClientConfig)
	}
	if *w.FailurePolicy != admissionregistrationv1.Ignore || *w.TimeoutSeconds != 3 || got.mutating.Labels["keep"] != "me" {
		t.Errorf("got %+v", w)
	}
	if diff := cmp.Diff(namespaces("connaisseur", "a", "b"), w.NamespaceSelector); diff != "" {
		t.Error(diff)
	}
	if len(w.MatchConditions) != 0 || len(w.ObjectSelector.MatchLabels) != 0 {
		t.Errorf("T12: it is still narrowed: %+v", w)
	}
	if *got.validating[ConfigName].Webhooks[0].FailurePolicy != admissionregistrationv1.Ignore || slices.Equal(got.validating[ConfigName].Webhooks[0].ClientConfig.CABundle, nil) {
		t.Error("the webhook for our ConfigMaps is wrong")
	}
}

// T12: a label decides only where somebody has chosen so, and never about our own
// namespace or the ones that are excluded.
func TestT12NamespacedValidation(t *testing.T) {
	t.Parallel()
	for mode, want := range map[feature.NamespacedMode]*metav1.LabelSelectorRequirement{
		feature.NoLabel:         nil,
		feature.IgnoreLabeled:   {Key: "securesystemsengineering.connaisseur/webhook", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"ignore"}},
		feature.ValidateLabeled: {Key: "securesystemsengineering.connaisseur/webhook", Operator: metav1.LabelSelectorOpIn, Values: []string{"validate"}},
		"whatever":              nil,
	} {
		s := feature.Default()
		s.NamespacedValidation.Mode = mode
		got, _, err := reconcile(t, installed(byURL()), certificateWith("CA"), settings(s), true)
		if err != nil {
			t.Fatal(err)
		}
		selector := namespaces("connaisseur", "kube-system")
		if want != nil {
			selector.MatchExpressions = append(selector.MatchExpressions, *want)
		}
		for _, w := range []*metav1.LabelSelector{got.mutating.Webhooks[0].NamespaceSelector, got.validating[WorkloadsName].Webhooks[0].NamespaceSelector} {
			if diff := cmp.Diff(selector, w); diff != "" {
				t.Errorf("%q: %s", mode, diff)
			}
		}
	}
}

func TestTheConfigurationsAreLeftAloneWhereThatIsBetter(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret *corev1.Secret
		leads  bool
	}{
		"there is no authority yet":                       {certificateWith(""), true},
		"there is a Secret of the user's with none":       {&corev1.Secret{ObjectMeta: certificateSecret, Type: corev1.SecretTypeTLS, Data: map[string][]byte{certresources.CACert: []byte("CA")}}, true},
		"another replica leads, which does it if need be": {certificateWith("CA"), false},
	} {
		got, calls, err := reconcile(t, installed(byService()), c.secret, noSnapshot, c.leads)
		if calls != 0 || got.mutating.Webhooks[0].Rules != nil || (err != nil && !controller.IsSkipKey(err)) {
			t.Errorf("%s: %v, %d calls", name, err, calls)
		}
	}
	if _, _, err := reconcile(t, installed(byService()), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "connaisseur"}}, noSnapshot, true); err == nil {
		t.Error("the Secret is missing, and nobody is told")
	}
	if _, calls, err := reconcile(t, cluster{}, certificateWith("CA"), noSnapshot, true); err != nil || calls != 0 {
		t.Errorf("nothing is installed: %v, %d calls", err, calls)
	}
}

func TestAnAuthorityIsPublishedOnlyIfEveryWebhookHasIt(t *testing.T) {
	t.Parallel()
	m := &admissionregistrationv1.MutatingWebhookConfiguration{Webhooks: make([]admissionregistrationv1.MutatingWebhook, 2)}
	v := &admissionregistrationv1.ValidatingWebhookConfiguration{Webhooks: make([]admissionregistrationv1.ValidatingWebhook, 2)}
	m.Webhooks[0].ClientConfig.CABundle, v.Webhooks[0].ClientConfig.CABundle = []byte("A\nB\n"), []byte("A\nB\n")
	if everyMutating(m, []byte("B\n")) || everyValidating(v, []byte("B\n")) {
		t.Error("one webhook of two is enough")
	}
	m.Webhooks[1].ClientConfig.CABundle, v.Webhooks[1].ClientConfig.CABundle = []byte("B"), []byte("B")
	if !everyMutating(m, []byte("B\n")) || !everyValidating(v, []byte("B\n")) {
		t.Error("both are not enough")
	}
}

// A setting that protects does not wait until somebody has put the certificate right.
func TestSettingsDoNotWaitForAnAuthority(t *testing.T) {
	t.Parallel()
	lenient := feature.Default()
	lenient.ExcludedNamespaces = []string{"team"}
	before, _, err := reconcile(t, installed(byService()), certificateWith("CA"), settings(lenient), true)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string]*corev1.Secret{
		"the Secret is empty":                  certificateWith(""),
		"the Secret is the user's, without it": {ObjectMeta: certificateSecret, Type: corev1.SecretTypeTLS},
		"the Secret is missing":                {ObjectMeta: metav1.ObjectMeta{Name: "other", Namespace: "connaisseur"}},
	} {
		after, _, err := reconcile(t, before, secret, settings(feature.Default()), true)
		if missing := secret.Name == "other"; (err != nil) != missing {
			t.Errorf("%s: %v", name, err)
		}
		m, v := after.mutating.Webhooks[0], after.validating[WorkloadsName].Webhooks[0]
		if cmp.Diff(namespaces("connaisseur", "kube-system"), m.NamespaceSelector) != "" || cmp.Diff(m.NamespaceSelector, v.NamespaceSelector) != "" {
			t.Errorf("%s: left out are still %v and %v", name, m.NamespaceSelector, v.NamespaceSelector)
		}
		if string(m.ClientConfig.CABundle) != "CA" || string(v.ClientConfig.CABundle) != "CA" {
			t.Errorf("%s: what was published is lost", name)
		}
	}
}

// What somebody had set is not replaced by defaults just when a broken
// configuration has everything denied.
func TestWithoutAConfigurationWhatWasSetStays(t *testing.T) {
	t.Parallel()
	s := feature.Default()
	s.ExcludedNamespaces, s.Webhook = []string{"cni"}, feature.Webhook{FailurePolicy: feature.Ignore, TimeoutSeconds: 3}
	before, _, err := reconcile(t, installed(byService()), certificateWith("CA"), settings(s), true)
	if err != nil {
		t.Fatal(err)
	}
	after, _, err := reconcile(t, before, certificateWith("CA and another"), noSnapshot, true)
	if err != nil {
		t.Fatal(err)
	}
	w := after.mutating.Webhooks[0]
	if diff := cmp.Diff(namespaces("connaisseur", "cni"), w.NamespaceSelector); diff != "" || *w.TimeoutSeconds != 3 || string(w.ClientConfig.CABundle) != "CA and another" {
		t.Errorf("got %+v", w)
	}
	if v := after.validating[WorkloadsName].Webhooks[0]; *v.TimeoutSeconds != 3 || string(v.ClientConfig.CABundle) != "CA and another" {
		t.Errorf("got %+v", v)
	}
}

// The rules follow config-workloads; a restart without a configuration takes none
// away.
func TestTheRulesFollowTheKindsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	kinds, errs := workload.Builtin().With("workloads", []workload.Custom{{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout", Paths: []string{"spec.template.spec"}}})
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	listed := func() (*verify.Snapshot, error) {
		return &verify.Snapshot{Features: feature.Default(), Workloads: kinds}, nil
	}
	c := installed(byService())
	for _, step := range []struct {
		name      string
		snapshots Snapshots
		listed    bool
	}{
		{"before", settings(feature.Default()), false},
		{"they are listed", listed, true},
		{"a restart without a configuration", noSnapshot, true},
		{"they are taken out", settings(feature.Default()), false},
	} {
		got, _, err := reconcile(t, c, certificateWith("CA"), step.snapshots, true)
		if err != nil {
			t.Fatal(err)
		}
		for name, rules := range map[string][]admissionregistrationv1.RuleWithOperations{"mutating": got.mutating.Webhooks[0].Rules, "validating": got.validating[WorkloadsName].Webhooks[0].Rules} {
			rollouts := slices.ContainsFunc(rules, func(r admissionregistrationv1.RuleWithOperations) bool {
				return slices.Equal(r.APIGroups, []string{"argoproj.io"}) && slices.Equal(r.APIVersions, []string{"v1alpha1"}) && slices.Equal(r.Resources, []string{"rollouts"})
			})
			if rollouts != step.listed {
				t.Errorf("%s: the %s webhook is asked about Rollouts: %t", step.name, name, rollouts)
			}
		}
		c = got
	}
}
