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
	signatureAnnotation = "dev.cosignproject.cosign/signature"
	maxTagLength        = 128
	// parallelPayloads bounds the payloads of one image that are fetched at
	// the same time.
	parallelPayloads = 8
)

// signatureTypes are the manifests that hold signatures.
var signatureTypes = string(types.OCIManifestSchema1) + ", " + string(types.DockerManifestSchema2)

// Signature is a candidate: found beside an image, and not verified in any
// way. Its payload and annotations may be shared and must not be changed.
type Signature struct {
	// Payload is what was signed, in the simple signing format; it has the
	// digest that the manifest says.
	Payload []byte
	// Base64Signature is the signature over the payload, as it was found.
	Base64Signature string
	// Annotations hold the signature and what else belongs to it: certificate,
	// chain, log entry, timestamp. None but cosign's own are there.
	Annotations map[string]string
}

// Signatures returns the signatures that cosign attached to the reference's
// digest, in the manifest's order; none if there are none. The reference must
// have a digest. The error is a *validator.Error.
//
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md,
// section "Storage".
func (a *Access) Signatures(ctx context.Context, ref image.Reference) ([]Signature, error) {
	if !validDigest(ref.Digest()) {
		return nil, validator.Errorf(validator.InvalidReference, "%s has no valid digest, so that nothing can have signed it", ref)
	}
	tag := strings.Replace(string(ref.Digest()), ":", "-", 1) + ".sig"
	if len(tag) > maxTagLength {
		return nil, nil // cosign cannot store signatures of sha512 digests
	}
	ctx, end := a.client.begin(ctx)
	defer end()
	t, err := a.client.hosts.target(ref)
	if err != nil {
		return nil, err
	}
	what := "the signatures of " + ref.String()
	got, err := a.ask(ctx, t, question{
		method: http.MethodGet, path: "manifests/" + tag, accept: signatureTypes, limit: a.client.limits.ManifestBytes,
	})
	switch {
	case err != nil:
		return nil, err
	case got.status == http.StatusNotFound:
		return nil, nil
	case got.status != http.StatusOK:
		return nil, got.refused(t, what)
	}
	found, err := candidates(what, got, a.client.limits)
	if err != nil {
		return nil, err
	}
	return a.withPayloads(ctx, t, what, found)
}

// candidates are the layers of the manifest that are signatures.
func candidates(what string, got *answer, limits Limits) ([]layer, error) {
	m, err := parseManifest(got.header.Get("Content-Type"), got.body, limits.Signatures)
	if err != nil {
		return nil, validator.Errorf(validator.MalformedSignature, "the manifest with %s is malformed: %w", what, err)
	}
	if m.Layers.over {
		return nil, validator.Errorf(validator.TooLarge, "%s are more than the %d that are allowed", what, limits.Signatures)
	}
	var (
		found    []layer
		sizes    = map[image.Digest]int64{}
		together int64
	)
	for _, l := range m.Layers.list {
		switch {
		case l.MediaType != simpleSigning || l.Annotations[signatureAnnotation] == "":
			continue
		case !validDigest(l.Digest) || l.Size < 0:
			return nil, validator.Errorf(validator.MalformedSignature, "the manifest with %s is malformed: a layer has no valid digest and size", what)
		case l.Size > limits.PayloadBytes:
			return nil, validator.Errorf(validator.TooLarge, "%s: a payload is larger than the %d bytes that are allowed", what, limits.PayloadBytes)
		}
		size, again := sizes[l.Digest]
		if again && size != l.Size {
			return nil, validator.Errorf(validator.MalformedSignature, "the manifest with %s is malformed: it gives a payload two sizes", what)
		}
		if !again {
			sizes[l.Digest] = l.Size
			together += l.Size
		}
		if together > limits.allPayloads() {
			return nil, validator.Errorf(validator.TooLarge, "%s: the payloads together are larger than the %d bytes that are allowed", what, limits.allPayloads())
		}
		found = append(found, l)
	}
	return found, nil
}

// withPayloads fetches what was signed, each payload once.
func (a *Access) withPayloads(ctx context.Context, t target, what string, found []layer) ([]Signature, error) {
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
			*into, err = a.payload(ctx, t, what, l)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	signatures := make([]Signature, 0, len(found))
	for _, l := range found {
		signatures = append(signatures, Signature{
			Payload:         *payloads[l.Digest],
			Base64Signature: l.Annotations[signatureAnnotation],
			Annotations:     l.Annotations,
		})
	}
	return signatures, nil
}

// payload fetches one blob, of the size that the manifest says and no more. OCI
// distribution specification, section "Pulling blobs".
func (a *Access) payload(ctx context.Context, t target, what string, l layer) ([]byte, error) {
	d := l.Digest
	got, err := a.ask(ctx, t, question{method: http.MethodGet, path: "blobs/" + string(d), limit: l.Size})
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
