// Package remote fetches trust material from outside of the cluster, public
// keys in a KMS and Sigstore's trusted root by TUF, and keeps it up to date in
// the background. What was fetched last stays good while its source cannot be
// reached.
//
// It is apart from pkg/trust because the clients of four clouds come with it.
package remote
