// Package trust turns references to trust roots into immutable values: the keys,
// identities and authorities whose signatures are trusted, and what a Sigstore
// consists of.
//
// A reference is PEM text or a JSON document itself, configmap://NAME/KEY,
// k8s://NAMESPACE/SECRET or the URI of a key in one of four KMS. Nothing else is
// ever opened: no file, no other URL, no environment variable and no plugin can
// be reached from the configuration. The package itself fetches nothing;
// pkg/trust/remote does.
package trust
