// Package registry asks container registries what a tag stands for and which
// signatures an image has; it is the only package that talks to registries.
//
// Registries and everything they answer are hostile here. So every answer is
// bounded in bytes and time and read whole before anyone looks at it; all that
// are held at a time are bounded together, and what is remembered is bounded,
// too; what is asked for by digest is hashed; credentials go to the registry
// they are for and to the token service it names, never along a redirect to
// another host; plain HTTP, unverified TLS and this machine's own addresses are
// for hosts that the configuration names insecure; and link-local addresses are
// for nobody. The last two are enforced where the connection is made, so that
// neither a name nor a redirect gets around them.
//
// A registry is pinged once and a token is fetched once per repository and
// credentials, both for as long as they last. After that a tag costs three
// requests (tag, signatures' manifest, payload) and a digest two.
//
// The protocol is that of the OCI distribution specification 1.1
// (https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md)
// with Docker's token authentication
// (https://distribution.github.io/distribution/spec/auth/token/).
package registry
