// Package notaryv1 verifies images by the trust data of Docker Content Trust,
// which a Notary (V1) server has for each repository: a tag is trusted if the
// repository's targets, or a delegation of them, name its digest, and the chain
// of signatures leads to the pinned root keys. Nothing is trusted on first use.
//
// A repository of which nothing is known costs four requests at the same time,
// and one more for each delegation after those; one that is known costs one, for
// the timestamp, as long as that leads to the same files. The highest versions
// that were seen are remembered, so that a server cannot go back to older ones.
package notaryv1
