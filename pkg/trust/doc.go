// Package trust turns references to trust roots into immutable values: named
// public keys that signatures are verified with.
//
// A reference is PEM text itself, configmap://NAME/KEY or
// k8s://NAMESPACE/SECRET. Nothing else is ever opened: no file, no URL, no
// environment variable and no plugin can be reached from the configuration.
package trust
