// Package shared is a cache in Redis that replicas have in common: what one has
// verified, the others need not.
//
// Redis is not trusted. Whoever writes to it, or answers in its place, can keep
// entries away, and so make replicas verify for themselves, and nothing else: an
// entry is authenticated together with its name, the program's build, the
// configuration's revision, the time of the verification and the time until which it
// may be used. So it can be put back after it was taken away, but under no other name
// and no longer than until then.
//
// Nor is it needed. A request never waits for a connection to be made, and no longer
// than a moment for an answer; as soon as one does not come in time, Redis is left
// alone until it answers in time again.
package shared
