package validator

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// defaultServiceAccount is that of Pods which name none.
	defaultServiceAccount = "default"
	// maxPullSecrets bounds the pull secrets of a Pod that are looked at.
	maxPullSecrets = 32
)

// Identity names the pull credentials that a workload brings along, where
// those decide what of a registry can be seen. The zero value is nobody in
// particular: only what the validator's own configuration may see.
type Identity string

// PullIdentity is that of the Pods of a workload: namespace, service account
// and pull secrets, in their order. A pull secret whose name Kubernetes does
// not allow does not exist, and is left out; so is what is beyond the first 32.
// If namespace or service account cannot exist, it is the zero value.
func PullIdentity(namespace, serviceAccount string, pullSecrets []string) Identity {
	if serviceAccount == "" {
		serviceAccount = defaultServiceAccount
	}
	if !isName(namespace) || !isName(serviceAccount) {
		return ""
	}
	parts := []string{namespace, serviceAccount}
	for _, name := range pullSecrets {
		if len(parts) < 2+maxPullSecrets && isName(name) && !slices.Contains(parts[2:], name) {
			parts = append(parts, name)
		}
	}
	// Names hold no slash, so that no two identities look the same.
	return Identity(strings.Join(parts, "/"))
}

// Pods is what the identity was made of; ok is false for the zero value.
func (i Identity) Pods() (namespace, serviceAccount string, pullSecrets []string, ok bool) {
	parts := strings.Split(string(i), "/")
	if len(parts) < 2 {
		return "", "", nil, false
	}
	return parts[0], parts[1], parts[2:], true
}

func isName(s string) bool { return len(validation.IsDNS1123Subdomain(s)) == 0 }
