package registrytest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Push stores a new random image under repository:tag ("team/app:v1"; the tag
// is "latest" if there is none).
func (r *Registry) Push(tb TB, name string) Image {
	tb.Helper()
	repository, tag, ok := strings.Cut(name, ":")
	if !ok {
		tag = "latest"
	}
	pushed := r.pushImage(tb, repository, tag)
	return Image{Host: r.Host(), Repository: repository, Tag: tag, Digest: pushed.Digest}
}

// pushImage stores a new random image under a tag or, if that is empty, by its
// digest alone.
func (r *Registry) pushImage(tb TB, repository, tag string) descriptor {
	tb.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		tb.Fatalf("make an image: %v", err)
	}
	layers, err := img.Layers()
	if err != nil {
		tb.Fatalf("make an image: %v", err)
	}
	for _, layer := range layers {
		content, err := layer.Compressed()
		if err != nil {
			tb.Fatalf("make an image: %v", err)
		}
		blob, err := io.ReadAll(content)
		if err != nil {
			tb.Fatalf("make an image: %v", err)
		}
		r.PutBlob(tb, repository, blob)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		tb.Fatalf("make an image: %v", err)
	}
	r.PutBlob(tb, repository, config)
	manifest, err := img.RawManifest()
	if err != nil {
		tb.Fatalf("make an image: %v", err)
	}
	if tag == "" {
		tag = digestOf(manifest)
	}
	digest := r.PutManifest(tb, repository, tag, string(types.DockerManifestSchema2), manifest)
	return descriptor{MediaType: string(types.DockerManifestSchema2), Size: len(manifest), Digest: digest}
}

// PutManifest stores any bytes as a manifest under a tag or digest and returns their
// digest.
func (r *Registry) PutManifest(tb TB, repository, tag, mediaType string, manifest []byte) (digest string) {
	tb.Helper()
	r.put(tb, http.MethodPut, "/v2/"+repository+"/manifests/"+tag, mediaType, manifest)
	return digestOf(manifest)
}

// PutBlob stores a blob and returns its digest.
func (r *Registry) PutBlob(tb TB, repository string, blob []byte) (digest string) {
	tb.Helper()
	digest = digestOf(blob)
	r.put(tb, http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest, "application/octet-stream", blob)
	return digest
}

// Delete removes a tag.
func (r *Registry) Delete(tb TB, repository, tag string) {
	tb.Helper()
	r.put(tb, http.MethodDelete, "/v2/"+repository+"/manifests/"+tag, "", nil)
}

// put goes past the network, so that it is neither counted nor delayed.
func (r *Registry) put(tb TB, method, path, mediaType string, body []byte) {
	tb.Helper()
	got := r.do(method, path, mediaType, body)
	if got.Code >= http.StatusMultipleChoices {
		tb.Fatalf("%s %s: %d %s", method, path, got.Code, got.Body)
	}
}

func (r *Registry) do(method, path, mediaType string, body []byte) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, bytes.NewReader(body))
	req.URL.Host = ""
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	got := httptest.NewRecorder()
	r.store.ServeHTTP(got, req)
	return got
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
