package migrate

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/static"
)

// result gives the objects, after a last look at whether they load.
func (m *migration) result() (Result, error) {
	if err := m.build().Errors.Err(); err != nil {
		return Result{}, fmt.Errorf("what came of it does not load, which is a fault of this program: %w", err)
	}
	configMaps, secrets := m.objects()
	return Result{ConfigMaps: configMaps, Secrets: secrets, Findings: m.sorted()}, nil
}

// objects writes what is to be applied.
func (m *migration) objects() (configMaps []*corev1.ConfigMap, secrets []*corev1.Secret) {
	if m.hasPolicy {
		configMaps = append(configMaps, configMap(config.PolicyName, m.namespace, map[string]string{
			"validators": text(m.validatorList()),
			"policy":     text(m.ruleList()),
		}))
	}
	if len(m.features) > 0 {
		configMaps = append(configMaps, configMap(config.FeaturesName, m.namespace, m.features))
	}
	if data := m.alerting(); len(data) > 0 {
		configMaps = append(configMaps, configMap(config.AlertingName, m.namespace, data))
	}
	for _, l := range m.logins {
		secrets = append(secrets, &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: l.name, Namespace: m.namespace, Labels: labels()},
			Type:       corev1.SecretTypeOpaque,
			Data:       map[string][]byte{secretEntry: l.text},
		})
	}
	return configMaps, secrets
}

func configMap(name, namespace string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels()},
		Data:       data,
	}
}

func labels() map[string]string { return map[string]string{"app.kubernetes.io/name": "connaisseur"} }

// validatorList is validators of config-policy.
func (m *migration) validatorList() []any {
	list := []any{}
	for _, v := range m.validators {
		if v.lost {
			list = append(list, denier(v.name))
			continue
		}
		fields := map[string]any{"name": v.name, "type": v.kind}
		for key, value := range v.settings {
			fields[key] = value
		}
		if v.roots != nil {
			var roots []any
			for _, r := range v.roots {
				roots = append(roots, r.fields)
			}
			fields["trustRoots"] = roots
		}
		list = append(list, fields)
	}
	if slices.ContainsFunc(m.written(), func(r *rule) bool { return r.denied }) {
		list = append(list, denier(m.notMigrated()))
	}
	return list
}

func denier(name string) map[string]any {
	return map[string]any{"name": name, "type": static.Type, "approve": false}
}

// notMigrated is the name of the validator of rules that could not be carried
// over.
func (m *migration) notMigrated() string {
	name := "not-migrated"
	for m.validator(name) != nil {
		name += "-"
	}
	return name
}

// ruleList is policy of config-policy.
func (m *migration) ruleList() []any {
	list := []any{}
	for _, r := range m.written() {
		fields := map[string]any{"pattern": r.pattern}
		switch v := m.of(r); {
		case r.denied:
			fields["validator"] = m.notMigrated()
		case v != nil && v.lost:
			fields["validator"] = v.name
		default:
			if r.validator != "" {
				fields["validator"] = r.validator
			}
			if len(r.with) > 0 {
				fields["with"] = r.with
			}
		}
		list = append(list, fields)
	}
	return list
}
