package dct

import "crypto/sha256"

// Naming is the timestamp as if it named this snapshot.
func (t *Timestamp) Naming(raw []byte) *Timestamp {
	return &Timestamp{t.document, meta(raw)}
}

// Naming is the snapshot as if this was the file of the role.
func (s *Snapshot) Naming(role string, raw []byte) *Snapshot {
	return &Snapshot{s.document, s.raw, map[string]fileMeta{role: meta(raw)}}
}

func meta(raw []byte) fileMeta {
	sum := sha256.Sum256(raw)
	return fileMeta{Length: int64(len(raw)), Hashes: map[string][]byte{"sha256": sum[:]}}
}
