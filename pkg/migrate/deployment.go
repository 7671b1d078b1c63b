package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// failurePolicy is a key of config-features.
const failurePolicy = "webhook.failurePolicy"

// matters lists what of the section kubernetes is more than how pods are made,
// and what to do about it. It may hold what must not be printed.
var matters = []struct{ key, what string }{
	{"deployment.tls", "put your certificate into the Secret connaisseur-webhook-certificate, of type kubernetes.io/tls and with ca.crt"},
	{"deployment.envs", "add the variables to config/600-deployment.yaml"},
	{"deployment.imagePullSecrets", "add them to config/200-serviceaccount.yaml"},
	{"serviceaccount.annotations", "add them to config/200-serviceaccount.yaml; a cloud's credentials (useKeychain, KMS) hang on them"},
	{"serviceaccount.name", "give the one of config/200-serviceaccount.yaml the same rights in your cloud"},
}

// takeDeployment reads the section kubernetes.
func (m *migration) takeDeployment(f *file) {
	tree, ok := f.values["kubernetes"].(map[string]any)
	if f.values["kubernetes"] == nil {
		return
	}
	if !ok {
		m.lost("kubernetes", "must be a mapping")
		return
	}
	settings := map[string]any{}
	flatten("", tree, settings)
	for _, one := range matters {
		if slices.ContainsFunc(slices.Collect(maps.Keys(settings)), func(key string) bool {
			return (key == one.key || strings.HasPrefix(key, one.key+".")) && !empty(settings[key])
		}) {
			m.lost("kubernetes."+one.key, "is not carried over: %s", one.what)
		}
	}
	if policy, ok := settings[failurePolicy]; ok && m.placeholders("kubernetes."+failurePolicy, policy) {
		m.features[failurePolicy] = fmt.Sprint(policy)
	}
	delete(settings, failurePolicy)
	if len(settings) > 0 {
		m.note("kubernetes", "how the webhook is deployed is in config/, without Redis, of which replicas can use one of your own (config/shared-cache.md); what you have changed must be changed there again")
	}
}
