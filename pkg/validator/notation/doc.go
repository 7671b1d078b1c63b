// Package notation verifies images by the signatures of the Notary Project that
// are attached to them, as the client notation makes them: a digest, signed with
// the key of a certificate that leads to a pinned one.
// https://github.com/notaryproject/specifications/tree/v1.1.0/specs
package notation
