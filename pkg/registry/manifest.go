package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"mime"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
)

// manifest is what matters here of a manifest that holds signatures. OCI image
// specification, manifest.md and descriptor.md.
type manifest struct {
	MediaType    types.MediaType `json:"mediaType"`
	ArtifactType types.MediaType `json:"artifactType"`
	Config       layer           `json:"config"`
	Layers       layers          `json:"layers"`
	Annotations  annotations     `json:"annotations"`
}

// index is what matters here of an image index. OCI image specification,
// image-index.md.
type index struct {
	MediaType types.MediaType `json:"mediaType"`
	Manifests layers          `json:"manifests"`
	// No index has these; what has could be read as an image by others.
	Config   json.RawMessage `json:"config"`
	Layers   json.RawMessage `json:"layers"`
	FSLayers json.RawMessage `json:"fsLayers"`
	History  json.RawMessage `json:"history"`
}

// layers is decoded one by one, so that a manifest full of empty ones does
// not take many times its own size.
type layers struct {
	max  int
	list []layer
	over bool // there are more than max; the list is not complete
}

// layer is a descriptor, of a layer or of a manifest.
type layer struct {
	MediaType    types.MediaType `json:"mediaType"`
	ArtifactType types.MediaType `json:"artifactType"`
	Digest       image.Digest    `json:"digest"`
	Size         int64           `json:"size"`
	Annotations  annotations     `json:"annotations"`
	Platform     *platform       `json:"platform"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	OSVersion    string `json:"os.version"`
	Variant      string `json:"variant"`
}

// annotations are those that signing clients use; no others are kept, so that a
// manifest full of them does not take many times its own size.
type annotations map[string]string

// UnmarshalJSON implements json.Unmarshaler.
func (a *annotations) UnmarshalJSON(data []byte) error {
	*a = nil
	if string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return errors.New("annotations is not an object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value string
		if err := d.Decode(&value); err != nil {
			return err
		}
		if name, ok := key.(string); ok && known(name) {
			if *a == nil {
				*a = annotations{}
			}
			(*a)[name] = value
		}
	}
	return nil
}

// known tells whether an annotation has a meaning here: cosign's signature,
// certificate, chain, log entry and timestamp, the type of an attestation, and
// what is in a bundle.
func known(name string) bool {
	return strings.HasPrefix(name, "dev.cosignproject.cosign/") || strings.HasPrefix(name, "dev.sigstore.cosign/") || strings.HasPrefix(name, "dev.sigstore.bundle.") ||
		name == predicateAnnotation || name == referenceTypeAnnotation
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *layers) UnmarshalJSON(data []byte) error {
	l.list, l.over = nil, false
	if string(data) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if open, err := d.Token(); err != nil || open != json.Delim('[') {
		return errors.New("layers is not a list")
	}
	for d.More() {
		if len(l.list) == l.max {
			l.over = true
			return nil
		}
		var one layer
		if err := d.Decode(&one); err != nil {
			return err
		}
		l.list = append(l.list, one)
	}
	return nil
}

// parseIndex reads an image index of at most that many manifests; ok is false
// for a manifest of another kind.
func parseIndex(contentType string, body []byte, maxManifests int) (parsed *index, ok bool, err error) {
	i := &index{Manifests: layers{max: maxManifests}}
	declared, _, err := mime.ParseMediaType(contentType)
	if err != nil || !types.MediaType(declared).IsIndex() {
		return nil, false, nil //nolint:nilerr // something else, such as an image manifest
	}
	if err := json.Unmarshal(body, i); err != nil {
		return nil, true, errors.New("it cannot be parsed")
	}
	if i.MediaType != "" && i.MediaType != types.MediaType(declared) {
		return nil, true, errors.New("its media type is contradictory")
	}
	if i.Config != nil || i.Layers != nil || i.FSLayers != nil || i.History != nil {
		return nil, true, errors.New("it is an index and an image at once (CVE-2021-41190)")
	}
	return i, true, nil
}

// parseManifest reads an image manifest of at most that many layers.
func parseManifest(contentType string, body []byte, maxLayers int) (*manifest, error) {
	m := &manifest{Layers: layers{max: maxLayers}}
	if err := json.Unmarshal(body, m); err != nil {
		return nil, errors.New("it cannot be parsed")
	}
	declared, _, err := mime.ParseMediaType(contentType)
	if err != nil || m.MediaType != "" && m.MediaType != types.MediaType(declared) {
		return nil, errors.New("its media type is missing or contradictory")
	}
	if !types.MediaType(declared).IsImage() {
		return nil, errors.New("it is not an image manifest")
	}
	return m, nil
}
