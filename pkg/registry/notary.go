package registry

import (
	"cmp"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// The manifests and layers that hold signatures of the Notary Project.
// https://github.com/notaryproject/specifications/blob/v1.1.0/specs/signature-specification.md,
// section "Storage".
const (
	notarySignature = types.MediaType("application/vnd.cncf.notary.signature")
	jwsEnvelope     = types.MediaType("application/jose+json")
	coseEnvelope    = types.MediaType("application/cose")
)

// notaryLayer is the one layer of a manifest that is a signature; nil if the
// manifest is something else.
func (s *search) notaryLayer(d layer, m *manifest) (*layer, error) {
	if cmp.Or(m.ArtifactType, m.Config.MediaType) != notarySignature {
		return nil, nil
	}
	if len(m.Layers.list) != 1 || m.Layers.over {
		return nil, validator.Errorf(validator.MalformedSignature, "%s: the manifest %s is malformed: it has not exactly one layer", s.bundles(), d.Digest)
	}
	l := &m.Layers.list[0]
	if kindOf(l.MediaType) == Bundle {
		return nil, validator.Errorf(validator.MalformedSignature, "%s: the manifest %s holds %s, which is neither %s nor %s", s.bundles(), d.Digest, validator.Quote(string(l.MediaType)), jwsEnvelope, coseEnvelope)
	}
	if err := s.fits(d, *l); err != nil {
		return nil, err
	}
	return l, nil
}

// kindOf is what a layer holds that was looked for.
func kindOf(mediaType types.MediaType) Kind {
	switch mediaType {
	case jwsEnvelope:
		return JWS
	case coseEnvelope:
		return COSE
	}
	return Bundle
}
