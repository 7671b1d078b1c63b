package sigstoretest

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/go-openapi/strfmt"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	dssetype "github.com/sigstore/rekor/pkg/types/dsse"
	dsse001 "github.com/sigstore/rekor/pkg/types/dsse/v0.0.1"
	"github.com/sigstore/rekor/pkg/types/hashedrekord"
	hashedrekord001 "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1"
	"github.com/sigstore/rekor/pkg/types/intoto"
	intoto002 "github.com/sigstore/rekor/pkg/types/intoto/v0.0.2"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"
)

// treeID is Rekor v1's; checkpoints name it.
const treeID = 1193050959916656506

// logV1 makes an entry in the Rekor v1 log.
func (s *Sigstore) logV1(tb TB, o *signing, by *Signer, c content, sig []byte) *protorekor.TransparencyLogEntry {
	tb.Helper()
	kind, version, body := o.body(tb, by, c, sig)
	index, proof := s.append(body)
	entry := &protorekor.TransparencyLogEntry{
		LogIndex: index, LogId: &protocommon.LogId{KeyId: keyID(tb, s.rekor.Public())},
		KindVersion:    &protorekor.KindVersion{Kind: kind, Version: version},
		IntegratedTime: o.integratedAt.Unix(), CanonicalizedBody: body,
	}
	signer := s
	if o.forger != nil {
		signer = o.forger
	}
	key, err := signature.LoadECDSASignerVerifier(signer.rekor, crypto.SHA256)
	if err != nil {
		tb.Fatalf("make a log entry: %v", err)
	}
	if o.promise {
		entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise(tb, entry, signer)}
	}
	if o.proof {
		checkpoint, err := util.CreateAndSignCheckpoint(context.Background(), rekorHost, treeID, uint64(proof.TreeSize), proof.RootHash, key)
		if err != nil {
			tb.Fatalf("make a log entry: %v", err)
		}
		proof.Checkpoint = &protorekor.Checkpoint{Envelope: string(checkpoint)}
		entry.InclusionProof = proof
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[hex.EncodeToString(leafHash(body))] = entry
	return entry
}

// promise is the signed entry timestamp.
func promise(tb TB, entry *protorekor.TransparencyLogEntry, by *Sigstore) []byte {
	tb.Helper()
	payload, err := jsoncanonicalizer.Transform(encode(tb, payloadOf(entry)))
	if err != nil {
		tb.Fatalf("make a log entry: %v", err)
	}
	return Key(by.rekor).sign(tb, payload)
}

// payloadOf is what the signed entry timestamp is over.
func payloadOf(entry *protorekor.TransparencyLogEntry) tlog.RekorPayload {
	return tlog.RekorPayload{
		Body:           base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()),
		IntegratedTime: entry.GetIntegratedTime(), LogIndex: entry.GetLogIndex(),
		LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
	}
}

// body is the canonical entry for a signature.
func (o *signing) body(tb TB, by *Signer, c content, sig []byte) (kind, version string, body []byte) {
	tb.Helper()
	if !c.envelope {
		return hashedrekord.KIND, hashedrekord001.APIVERSION, canonical(tb, claimEntry(by.PEM(tb), c, sig))
	}
	kind, version = dssetype.KIND, dsse001.APIVERSION
	if o.intoto {
		kind, version = intoto.KIND, intoto002.APIVERSION
	}
	proposed, err := types.NewProposedEntry(context.Background(), kind, version, types.ArtifactProperties{
		ArtifactBytes: c.wrap(tb, sig), PublicKeyBytes: [][]byte{by.PEM(tb)},
	})
	if err != nil {
		tb.Fatalf("make a log entry: %v", err)
	}
	return kind, version, canonical(tb, proposed)
}

func claimEntry(publicKey []byte, c content, sig []byte) models.ProposedEntry {
	version, algorithm := hashedrekord001.APIVERSION, models.HashedrekordV001SchemaDataHashAlgorithmSha256
	hash := hex.EncodeToString(sha256Of(c.payload))
	return &models.Hashedrekord{
		APIVersion: &version,
		Spec: models.HashedrekordV001Schema{
			Data: &models.HashedrekordV001SchemaData{
				Hash: &models.HashedrekordV001SchemaDataHash{Algorithm: &algorithm, Value: &hash},
			},
			Signature: &models.HashedrekordV001SchemaSignature{
				Content:   strfmt.Base64(sig),
				PublicKey: &models.HashedrekordV001SchemaSignaturePublicKey{Content: strfmt.Base64(publicKey)},
			},
		},
	}
}

func canonical(tb TB, proposed models.ProposedEntry) []byte {
	tb.Helper()
	body, err := canonicalize(proposed)
	if err != nil {
		tb.Fatalf("make a log entry: %v", err)
	}
	return body
}

// canonicalize verifies a proposed entry and makes of it what is logged.
func canonicalize(proposed models.ProposedEntry) ([]byte, error) {
	entry, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return nil, err
	}
	return types.CanonicalizeEntry(context.Background(), entry)
}
