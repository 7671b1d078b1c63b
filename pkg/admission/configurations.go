package admission

import (
	"context"
	"errors"
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	admissionlisters "k8s.io/client-go/listers/admissionregistration/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/utils/ptr"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// The objects that register the webhooks with the API server.
const (
	// WorkloadsName is the mutating and the validating configuration for
	// workloads.
	WorkloadsName = "connaisseur"
	// ConfigName is the validating configuration for our ConfigMaps.
	ConfigName = "connaisseur-config"
)

// namespaceLabel holds a namespace's name and cannot be changed.
const namespaceLabel = corev1.LabelMetadataName

// configurations owns what the API server is told: authority, path, rules,
// namespaces, failure policy and timeout. They are filled in only once there
// is an authority, so that an installation never blocks itself.
type configurations struct {
	reconciler.LeaderAwareFuncs

	client     kubernetes.Interface
	mutating   admissionlisters.MutatingWebhookConfigurationLister
	validating admissionlisters.ValidatingWebhookConfigurationLister
	secrets    corelisters.SecretNamespaceLister
	secretName string
	snapshots  Snapshots
	key        types.NamespacedName
}

var (
	_ controller.Reconciler  = (*configurations)(nil)
	_ reconciler.LeaderAware = (*configurations)(nil)
)

// Reconcile brings the webhook configurations up to date.
func (c *configurations) Reconcile(ctx context.Context, key string) error {
	if !c.IsLeaderFor(c.key) {
		return controller.NewSkipKey(key)
	}
	// Without one, and until the Secret's change brings us back, that which is
	// published stays; a setting must not wait for it.
	var authority []byte
	secret, missing := c.secrets.Get(c.secretName)
	if missing == nil {
		authority = authorities(secret)
	} else {
		missing = fmt.Errorf("cannot read Secret %s: %w", c.secretName, missing)
	}
	owner, err := c.owner(ctx)
	if err != nil {
		return err
	}
	want := desired{authority: authority, kinds: workload.Builtin(), namespace: c.key.Namespace, owner: owner}
	if snapshot, err := c.snapshots(); err == nil {
		want.settings, want.kinds = &snapshot.Features, snapshot.Workloads
	}
	return errors.Join(
		missing,
		c.reconcileMutating(ctx, want),
		c.reconcileValidating(ctx, WorkloadsName, want),
		c.reconcileValidating(ctx, ConfigName, want),
	)
}

// owner is our namespace, with which the webhook configurations are to go: left
// behind, they would block every Pod of the cluster.
func (c *configurations) owner(ctx context.Context) ([]metav1.OwnerReference, error) {
	namespace, err := c.client.CoreV1().Namespaces().Get(ctx, c.key.Namespace, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot read our namespace: %w", err)
	}
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Namespace", Name: namespace.Name, UID: namespace.UID}}, nil
}

func (c *configurations) reconcileMutating(ctx context.Context, want desired) error {
	current, err := c.mutating.Get(WorkloadsName)
	if apierrors.IsNotFound(err) {
		logging.FromContext(ctx).Errorf("MutatingWebhookConfiguration %s is missing; it comes with the installation's manifests", WorkloadsName)
		return nil
	} else if err != nil {
		return err
	}
	changed := current.DeepCopy()
	for i := range changed.Webhooks {
		w := &changed.Webhooks[i]
		if !want.connect(&w.ClientConfig, MutatePath) {
			continue
		}
		changed.OwnerReferences = want.owner
		settings := want.settingsFor(w.Rules)
		if settings == nil {
			continue
		}
		w.Rules, w.NamespaceSelector = workloadRules(want.kinds), want.selector(settings)
		w.FailurePolicy, w.TimeoutSeconds = failurePolicy(settings), ptr.To(int32(settings.Webhook.TimeoutSeconds))
		w.MatchPolicy, w.SideEffects = ptr.To(admissionregistrationv1.Equivalent), ptr.To(admissionregistrationv1.SideEffectClassNoneOnDryRun)
		w.ReinvocationPolicy = ptr.To(admissionregistrationv1.IfNeededReinvocationPolicy)
		w.ObjectSelector, w.MatchConditions = &metav1.LabelSelector{}, nil
	}
	if equality.Semantic.DeepEqual(current, changed) {
		return nil
	}
	_, err = c.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

func (c *configurations) reconcileValidating(ctx context.Context, name string, want desired) error {
	current, err := c.validating.Get(name)
	if apierrors.IsNotFound(err) {
		logging.FromContext(ctx).Errorf("ValidatingWebhookConfiguration %s is missing; it comes with the installation's manifests", name)
		return nil
	} else if err != nil {
		return err
	}
	changed := current.DeepCopy()
	for i := range changed.Webhooks {
		w := &changed.Webhooks[i]
		path := ValidatePath
		if name == ConfigName {
			path = ConfigPath
		}
		if !want.connect(&w.ClientConfig, path) {
			continue
		}
		changed.OwnerReferences = want.owner
		w.MatchPolicy = ptr.To(admissionregistrationv1.Equivalent)
		w.ObjectSelector, w.MatchConditions = &metav1.LabelSelector{}, nil
		if name == ConfigName {
			w.TimeoutSeconds = ptr.To(int32(want.settingsFor(nil).Webhook.TimeoutSeconds))
			w.Rules, w.NamespaceSelector = configRules(), want.ownNamespace()
			w.SideEffects = ptr.To(admissionregistrationv1.SideEffectClassNone)
			// A broken start must be possible to repair.
			w.FailurePolicy = ptr.To(admissionregistrationv1.Ignore)
			continue
		}
		settings := want.settingsFor(w.Rules)
		if settings == nil {
			continue
		}
		w.Rules, w.NamespaceSelector = workloadRules(want.kinds), want.selector(settings)
		w.SideEffects = ptr.To(admissionregistrationv1.SideEffectClassNoneOnDryRun)
		w.FailurePolicy, w.TimeoutSeconds = failurePolicy(settings), ptr.To(int32(settings.Webhook.TimeoutSeconds))
	}
	if equality.Semantic.DeepEqual(current, changed) {
		return nil
	}
	_, err = c.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Update(ctx, changed, metav1.UpdateOptions{})
	return err
}

// desired is what webhook configurations are made from.
type desired struct {
	authority []byte
	// settings is nil as long as there is no configuration. What one had set
	// before a restart is then left alone, and the defaults are for a webhook
	// that has no rules yet.
	settings *feature.Settings
	// kinds are those of the same configuration, or else the built-in ones.
	kinds     workload.Kinds
	namespace string
	owner     []metav1.OwnerReference
}

// connect says how the API server reaches the webhook: by its Service, or by
// the URL that somebody put there for a process outside of the cluster. It tells
// whether there is an authority for that.
func (d desired) connect(client *admissionregistrationv1.WebhookClientConfig, path string) bool {
	if len(d.authority) > 0 {
		client.CABundle = d.authority
	}
	if len(client.CABundle) == 0 {
		return false
	}
	if client.Service != nil {
		client.Service.Path = &path
	}
	return true
}

// settingsFor is what a webhook is to be set to that has these rules; nil if it
// is to be left alone.
func (d desired) settingsFor(rules []admissionregistrationv1.RuleWithOperations) *feature.Settings {
	if d.settings == nil && len(rules) == 0 {
		defaults := feature.Default()
		return &defaults
	}
	return d.settings
}

func failurePolicy(settings *feature.Settings) *admissionregistrationv1.FailurePolicyType {
	return ptr.To(admissionregistrationv1.FailurePolicyType(settings.Webhook.FailurePolicy))
}

// selector leaves out our own namespace and those that are excluded, by a label
// that no tenant can change, and with namespaced validation those that another
// label says.
func (d desired) selector(settings *feature.Settings) *metav1.LabelSelector {
	selector := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key:      namespaceLabel,
		Operator: metav1.LabelSelectorOpNotIn,
		Values:   append([]string{d.namespace}, settings.ExcludedNamespaces...),
	}}}
	if chosen := labeled(settings.NamespacedValidation.Mode); chosen != nil {
		selector.MatchExpressions = append(selector.MatchExpressions, *chosen)
	}
	return selector
}

// labeled chooses namespaces by the label of namespaced validation, where that is
// in force.
func labeled(mode feature.NamespacedMode) *metav1.LabelSelectorRequirement {
	operator := map[feature.NamespacedMode]metav1.LabelSelectorOperator{
		feature.IgnoreLabeled: metav1.LabelSelectorOpNotIn, feature.ValidateLabeled: metav1.LabelSelectorOpIn,
	}[mode]
	if operator == "" {
		return nil
	}
	return &metav1.LabelSelectorRequirement{Key: feature.NamespaceLabel, Operator: operator, Values: []string{string(mode)}}
}

func (d desired) ownNamespace() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{namespaceLabel: d.namespace}}
}

// workloadRules cover every kind whose images are found. A rule for a kind that
// the cluster does not have (yet) matches nothing.
func workloadRules(kinds workload.Kinds) []admissionregistrationv1.RuleWithOperations {
	var rules []admissionregistrationv1.RuleWithOperations
	for _, r := range kinds.Rules() {
		rules = append(rules, rule(r.Group, r.Version, r.Names))
	}
	return rules
}

func configRules() []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{rule("", "v1", []string{"configmaps"})}
}

func rule(group, version string, resources []string) admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
		Rule: admissionregistrationv1.Rule{
			APIGroups:   []string{group},
			APIVersions: []string{version},
			Resources:   resources,
			Scope:       ptr.To(admissionregistrationv1.NamespacedScope),
		},
	}
}
