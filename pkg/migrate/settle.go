package migrate

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/cache"
	"github.com/sse-secure-systems/connaisseur/pkg/config"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// settle builds the configuration as the webhook does, and has everything denied
// that depends on what is wrong with it, until nothing is.
func (m *migration) settle() {
	for changed := true; changed; {
		m.dropBroken()
		changed = false
		built := m.build()
		for _, e := range built.Errors {
			changed = m.blame(e) || changed
		}
		if !changed {
			m.adviseReceivers(built.Warnings)
		}
	}
}

// dropBroken leaves broken receivers and trust roots out. A rule that is for all of its
// validator's would then be content with fewer, and denies instead.
func (m *migration) dropBroken() {
	m.receivers = slices.DeleteFunc(m.receivers, func(r *receiver) bool { return r.broken })
	for _, v := range m.validators {
		whole := len(v.roots)
		v.roots = slices.DeleteFunc(v.roots, func(r *root) bool { return r.broken })
		v.incomplete = v.incomplete || len(v.roots) < whole
		if v.incomplete && len(v.roots) == 0 {
			v.lose()
		}
		for _, r := range m.rules {
			if v.incomplete && !v.lost && !r.denied && m.of(r) == v && r.with["trustRoot"] == trust.All {
				m.lost(r.path+".with.trustRoot", "means all trust roots, of which one is lost: everything that the rule is for is denied")
				r.denied = true
			}
		}
	}
}

// build gives what comes of it, and everything that is wrong.
func (m *migration) build() config.Built {
	objects := config.Objects{Namespace: m.namespace, Secrets: map[string]*corev1.Secret{}}
	configMaps, secrets := m.objects()
	for _, cm := range configMaps {
		objects = objects.With(cm)
	}
	if !m.hasPolicy {
		objects = objects.With(configMap(config.PolicyName, m.namespace, nil))
	}
	for _, s := range secrets {
		objects.Secrets[s.Name] = s
	}
	return config.NewBuilder(cache.New(cache.Options{})).Build(objects)
}

var (
	atValidator = regexp.MustCompile(`^validators\[(\d+)\](?:\.trustRoots\[(\d+)\])?(.*)$`)
	atRule      = regexp.MustCompile(`^policy\[(\d+)\](.*)$`)
)

// blame reports an error with the path in the file, takes out what is wrong, and
// tells whether that changed anything.
func (m *migration) blame(e *strict.Error) (changed bool) {
	if value, ok := m.features[e.Path]; e.Source == config.FeaturesName && ok {
		delete(m.features, e.Path)
		m.lost(m.featurePath(e.Path), "%s: %q is not carried over, and the default holds", e.Message, value)
		return true
	}
	if at := atValidator.FindStringSubmatch(e.Path); at != nil {
		return m.blameValidator(m.validators[number(at[1])], at[2], at[3], e.Message)
	}
	if at := atReceiver.FindStringSubmatch(e.Path); e.Source == config.AlertingName && at != nil {
		return m.blameReceiver(at, e.Message)
	}
	if at := atRule.FindStringSubmatch(e.Path); at != nil {
		r := m.written()[number(at[1])]
		if r.denied {
			return false
		}
		r.denied = true
		m.lost(r.path+at[2], "%s: everything that the rule is for is denied", e.Message)
		return true
	}
	return false
}

func number(digits string) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		panic(err) // the expression lets nothing else through
	}
	return n
}

// blameValidator takes a trust root out, or the whole validator.
func (m *migration) blameValidator(v *validator, root, key, message string) (changed bool) {
	if v.lost {
		return false
	}
	if root == "" || number(root) >= len(v.roots) {
		path := v.path + key
		if root != "" {
			path = fmt.Sprintf("%s.trustRoots%s", v.path, key)
		}
		m.lost(path, "%s: everything that needs the validator is denied", message)
		v.lose()
		return true
	}
	r := v.roots[number(root)]
	if r.broken {
		return false
	}
	m.lost(r.path+key, "%s: everything that needs this trust root is denied", message)
	r.broken = true
	return true
}
