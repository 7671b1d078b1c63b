package sigstoretest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
)

// Server serves the Rekor v1 log's look-ups until the test ends. Its requests
// can be delayed or spoilt by wrapping Handler instead.
func (s *Sigstore) Server(tb TB) *httptest.Server {
	tb.Helper()
	server := httptest.NewServer(s.Handler())
	tb.Cleanup(server.Close)
	return server
}

// Handler answers POST /api/v1/log/entries/retrieve with those of the entries
// asked for that were made in this log.
// https://github.com/sigstore/rekor/blob/main/openapi.yaml
func (s *Sigstore) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/log/entries/retrieve", s.retrieve)
	return mux
}

func (s *Sigstore) retrieve(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	var query models.SearchLogQuery
	if err := json.NewDecoder(req.Body).Decode(&query); err != nil {
		refuse(w, err)
		return
	}
	var hashes []string
	for _, proposed := range query.Entries() {
		body, err := canonicalize(proposed)
		if err != nil {
			refuse(w, err)
			return
		}
		hashes = append(hashes, hex.EncodeToString(leafHash(body)))
	}
	for _, uuid := range query.EntryUUIDs {
		hashes = append(hashes, uuid[max(0, len(uuid)-2*sha256.Size):])
	}
	_ = json.NewEncoder(w).Encode(s.find(hashes, query.LogIndexes))
}

// find returns the entries with these leaf hashes or indexes, by their names.
func (s *Sigstore) find(hashes []string, indexes []*int64) []models.LogEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []models.LogEntry{}
	for hash, entry := range s.entries {
		byIndex := slices.ContainsFunc(indexes, func(i *int64) bool { return i != nil && *i == entry.GetLogIndex() })
		if byIndex || slices.Contains(hashes, hash) {
			found = append(found, models.LogEntry{fmt.Sprintf("%016x%s", int64(treeID), hash): anonymous(entry)})
		}
	}
	return found
}

func refuse(w http.ResponseWriter, err error) {
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(models.Error{Code: http.StatusBadRequest, Message: err.Error()})
}

// anonymous is an entry in the API's form.
func anonymous(entry *protorekor.TransparencyLogEntry) models.LogEntryAnon {
	id, index, at := hex.EncodeToString(entry.GetLogId().GetKeyId()), entry.GetLogIndex(), entry.GetIntegratedTime()
	answer := models.LogEntryAnon{
		Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), LogID: &id, LogIndex: &index, IntegratedTime: &at,
		Verification: &models.LogEntryAnonVerification{SignedEntryTimestamp: entry.GetInclusionPromise().GetSignedEntryTimestamp()},
	}
	if proof := entry.GetInclusionProof(); proof != nil {
		root, proven, size := hex.EncodeToString(proof.GetRootHash()), proof.GetLogIndex(), proof.GetTreeSize()
		checkpoint := proof.GetCheckpoint().GetEnvelope()
		answer.Verification.InclusionProof = &models.InclusionProof{
			RootHash: &root, LogIndex: &proven, TreeSize: &size, Checkpoint: &checkpoint, Hashes: []string{},
		}
		for _, hash := range proof.GetHashes() {
			answer.Verification.InclusionProof.Hashes = append(answer.Verification.InclusionProof.Hashes, hex.EncodeToString(hash))
		}
	}
	return answer
}
