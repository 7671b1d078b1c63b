// Package dct reads and verifies the metadata of Docker Content Trust (Notary
// V1), a profile of The Update Framework (TUF): which digest a repository's tags
// stand for, says whoever holds the repository's keys.
//
// A server gives out a file for each role. Each is trusted because of another:
//
//	pinned keys → root → timestamp → snapshot → targets → delegations
//
// The root names the keys of the other three roles, the timestamp has the hash
// of the snapshot, the snapshot has those of all the rest, and targets name the
// keys of delegations. So what comes from a server is bytes, and turns into a
// Root, Timestamp, Snapshot or Targets only by a method of what comes before it
// in that chain.
//
// Signatures, thresholds and roles are verified by go-tuf, on the canonical form
// of what was signed, which is also what is read afterwards: what a parser could
// make of the bytes besides is never looked at. Wire types are our own, since
// Docker's differ from TUF's (base64 for hexadecimal, keys as DER or as
// certificates, signatures as r‖s, paths as prefixes).
//
// https://github.com/notaryproject/notary/blob/v0.7.0/docs/service_architecture.md
// https://theupdateframework.github.io/specification/latest/
package dct
