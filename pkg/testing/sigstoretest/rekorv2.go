package sigstoretest

import (
	"context"
	"crypto"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	tilesnote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/encoding/protojson"
)

// logV2 makes an entry in the Rekor v2 log: a hashedrekord, whatever was signed,
// without an integrated time or a promise.
// https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md
func (s *Sigstore) logV2(tb TB, o *signing, by *Signer, c content, sig []byte) *protorekor.TransparencyLogEntry {
	tb.Helper()
	text, err := protojson.Marshal(hashedRekordV2(tb, by, c, sig))
	if err != nil {
		tb.Fatalf("make a log entry: %v", err)
	}
	body, err := jsoncanonicalizer.Transform(text)
	if err != nil {
		tb.Fatalf("make a log entry: %v", err)
	}
	index, proof := s.append(body)
	entry := &protorekor.TransparencyLogEntry{
		LogIndex: index, LogId: &protocommon.LogId{KeyId: s.rekorV2ID(tb)},
		KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		CanonicalizedBody: body,
	}
	signer := s
	if o.forger != nil {
		signer = o.forger
	}
	if o.proof {
		proof.Checkpoint = &protorekor.Checkpoint{Envelope: signer.checkpointV2(tb, proof)}
		entry.InclusionProof = proof
	}
	return entry
}

func hashedRekordV2(tb TB, by *Signer, c content, sig []byte) *tiles.Entry {
	tb.Helper()
	details, err := signature.GetDefaultAlgorithmDetails(by.key.Public(), options.WithED25519ph())
	if err != nil {
		tb.Fatalf("make a log entry: %v", err)
	}
	hasher := details.GetHashType().New()
	hasher.Write(c.message())
	verifier := &tiles.Verifier{
		KeyDetails: details.GetSignatureAlgorithm(),
		Verifier:   &tiles.Verifier_PublicKey{PublicKey: &tiles.PublicKey{RawBytes: publicDER(tb, by.key.Public())}},
	}
	if by.certificate != nil {
		verifier.Verifier = &tiles.Verifier_X509Certificate{
			X509Certificate: &protocommon.X509Certificate{RawBytes: by.certificate.Raw},
		}
	}
	return &tiles.Entry{
		ApiVersion: "0.0.2", Kind: "hashedrekord",
		Spec: &tiles.Spec{Spec: &tiles.Spec_HashedRekordV002{HashedRekordV002: &tiles.HashedRekordLogEntryV002{
			Data:      &protocommon.HashOutput{Algorithm: details.GetProtoHashType(), Digest: hasher.Sum(nil)},
			Signature: &tiles.Signature{Content: sig, Verifier: verifier},
		}}},
	}
}

// checkpointV2 signs a tree's root. https://github.com/C2SP/C2SP/blob/main/tlog-checkpoint.md
func (s *Sigstore) checkpointV2(tb TB, proof *protorekor.InclusionProof) string {
	tb.Helper()
	key, err := signature.LoadSigner(s.rekorV2, crypto.Hash(0))
	if err != nil {
		tb.Fatalf("make a checkpoint: %v", err)
	}
	signer, err := tilesnote.NewNoteSigner(context.Background(), rekorV2Host, key)
	if err != nil {
		tb.Fatalf("make a checkpoint: %v", err)
	}
	checkpoint := log.Checkpoint{Origin: rekorV2Host, Size: uint64(proof.GetTreeSize()), Hash: proof.GetRootHash()}
	text, err := note.Sign(&note.Note{Text: string(checkpoint.Marshal())}, signer)
	if err != nil {
		tb.Fatalf("make a checkpoint: %v", err)
	}
	return string(text)
}
