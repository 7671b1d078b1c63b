package registry

import (
	"context"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	simpleSigning       = types.MediaType("application/vnd.dev.cosign.simplesigning.v1+json")
	dsseEnvelope        = types.MediaType("application/vnd.dsse.envelope.v1+json")
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	predicateAnnotation = "predicateType"
	maxTagLength        = 128
	// parallelPayloads bounds what is fetched at the same time of what is
	// attached to one image.
	parallelPayloads = 8
)

// signatureTypes are the manifests that hold signatures.
var signatureTypes = string(types.OCIManifestSchema1) + ", " + string(types.DockerManifestSchema2)

// form is a kind of tag under which cosign attaches what it makes, in layers of
// one manifest.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md,
// section "Storage", and ATTESTATION_SPEC.md.
type form struct {
	suffix    string
	mediaType types.MediaType
	kind      Kind
	what      string
}

var (
	signatureForm   = form{".sig", simpleSigning, SimpleSigning, "the signatures of "}
	attestationForm = form{".att", dsseEnvelope, Envelope, "the attestations of "}
)

// accepts tells whether a layer is what the form is for, and wanted.
func (f form) accepts(l layer, want Wanted) bool {
	if l.MediaType != f.mediaType {
		return false
	}
	if f.kind == Envelope {
		return want.predicate(l.Annotations[predicateAnnotation])
	}
	return l.Annotations[signatureAnnotation] != ""
}

// tagged finds what is attached under a tag, in the manifest's order; nothing if
// there is no such tag.
func (s *search) tagged(ctx context.Context, f form) ([]Candidate, error) {
	tag := fallbackTag(s.ref.Digest()) + f.suffix
	if len(tag) > maxTagLength {
		return nil, nil // cosign cannot store signatures of sha512 digests
	}
	what := f.what + s.ref.String()
	got, err := s.access.ask(ctx, s.target, question{
		method: http.MethodGet, path: "manifests/" + tag, accept: signatureTypes, limit: s.limits.ManifestBytes,
	})
	switch {
	case err != nil:
		return nil, err
	case got.status == http.StatusNotFound:
		return nil, nil
	case got.status != http.StatusOK:
		return nil, got.refused(s.target, what)
	}
	return s.layersOf(ctx, what, got, f)
}

// layersOf are the candidates in the layers of a manifest.
func (s *search) layersOf(ctx context.Context, what string, got *answer, f form) ([]Candidate, error) {
	found, err := s.layersIn(what, got, f)
	if err != nil {
		return nil, err
	}
	return s.withPayloads(ctx, what, f, found)
}

// fallbackTag is the digest as it can stand in a tag. OCI distribution
// specification, section "Referrers Tag Schema".
func fallbackTag(d image.Digest) string { return strings.Replace(string(d), ":", "-", 1) }

// layersIn are those of the manifest that hold what the form is for.
func (s *search) layersIn(what string, got *answer, f form) ([]layer, error) {
	limits, each, together := s.limits, s.limits.PayloadBytes, s.limits.allPayloads()
	if f.kind == Envelope {
		each, together = limits.AttestationBytes, limits.allAttestations()
	}
	m, err := parseManifest(got.header.Get("Content-Type"), got.body, limits.Signatures)
	if err != nil {
		return nil, validator.Errorf(validator.MalformedSignature, "the manifest with %s is malformed: %w", what, err)
	}
	if m.Layers.over {
		return nil, validator.Errorf(validator.TooLarge, "%s are more than the %d that are allowed", what, limits.Signatures)
	}
	var (
		found []layer
		sizes = map[image.Digest]int64{}
		sum   int64
	)
	for _, l := range m.Layers.list {
		switch {
		case !f.accepts(l, s.want):
			continue
		case !validDigest(l.Digest) || l.Size < 0:
			return nil, validator.Errorf(validator.MalformedSignature, "the manifest with %s is malformed: a layer has no valid digest and size", what)
		case l.Size > each:
			return nil, validator.Errorf(validator.TooLarge, "%s: a payload is larger than the %d bytes that are allowed", what, each)
		}
		size, again := sizes[l.Digest]
		if again && size != l.Size {
			return nil, validator.Errorf(validator.MalformedSignature, "the manifest with %s is malformed: it gives a payload two sizes", what)
		}
		if !again {
			sizes[l.Digest] = l.Size
			sum += l.Size
		}
		if sum > together {
			return nil, validator.Errorf(validator.TooLarge, "%s: the payloads together are larger than the %d bytes that are allowed", what, together)
		}
		found = append(found, l)
	}
	return found, nil
}

// withPayloads fetches what was signed, each payload once.
func (s *search) withPayloads(ctx context.Context, what string, f form, found []layer) ([]Candidate, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelPayloads)
	payloads := map[image.Digest]*[]byte{}
	for _, l := range found {
		if _, ok := payloads[l.Digest]; ok {
			continue
		}
		into := new([]byte)
		payloads[l.Digest] = into
		group.Go(func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = unexpected(p)
				}
			}()
			*into, err = s.blob(ctx, what, l)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	candidates := make([]Candidate, 0, len(found))
	for _, l := range found {
		candidates = append(candidates, Candidate{
			Kind:            f.kind,
			Payload:         *payloads[l.Digest],
			Base64Signature: l.Annotations[signatureAnnotation],
			Annotations:     l.Annotations,
		})
	}
	return candidates, nil
}

// blob fetches one blob, of the size that the manifest says and no more. OCI
// distribution specification, section "Pulling blobs".
func (s *search) blob(ctx context.Context, what string, l layer) ([]byte, error) {
	d, t := l.Digest, s.target
	got, err := s.access.ask(ctx, t, question{method: http.MethodGet, path: "blobs/" + string(d), limit: l.Size})
	switch {
	case err != nil:
		return nil, err
	case got.status == http.StatusNotFound:
		return nil, validator.Errorf(validator.MalformedSignature, "%s are incomplete: registry %s does not have the payload %s", what, t.host, d)
	case got.status != http.StatusOK:
		return nil, got.refused(t, what)
	case int64(len(got.body)) != l.Size, !matches(got.body, d):
		return nil, validator.Errorf(validator.DigestMismatch, "registry %s sent something else than the payload %s that it was asked for", t.host, d)
	}
	return got.body, nil
}
