package sigstoretest

import (
	"crypto/rand"
	"crypto/sha256"
	"math/bits"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/transparency-dev/merkle/rfc6962"
)

func leafHash(body []byte) []byte { return rfc6962.DefaultHasher.HashLeaf(body) }

// append adds a leaf to a log and proves that it is the last. The logs' other
// leaves do not exist: the proof of the last one needs but the hashes of the
// trees to its left, one for each bit of its index, and any will do.
func (s *Sigstore) append(body []byte) (index int64, proof *protorekor.InclusionProof) {
	s.mu.Lock()
	index = s.next
	s.next++
	s.mu.Unlock()
	root := leafHash(body)
	var hashes [][]byte
	for range bits.OnesCount64(uint64(index)) {
		left := make([]byte, sha256.Size)
		_, _ = rand.Read(left)
		hashes = append(hashes, left)
		root = rfc6962.DefaultHasher.HashChildren(left, root)
	}
	return index, &protorekor.InclusionProof{LogIndex: index, TreeSize: index + 1, RootHash: root, Hashes: hashes}
}
