package registrytest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"
)

// emptyMediaType is of configs and artifacts that have no content.
// OCI image specification, "Guidance for an Empty Descriptor".
const emptyMediaType = "application/vnd.oci.empty.v1+json"

// descriptor describes a manifest. OCI image specification, "Descriptor".
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Size         int               `json:"size"`
	Digest       string            `json:"digest"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *platform         `json:"platform,omitempty"`
}

// manifest is what tells how a referrer is listed.
type manifest struct {
	ArtifactType string `json:"artifactType"`
	Config       struct {
		MediaType string `json:"mediaType"`
	} `json:"config"`
	Annotations map[string]string `json:"annotations"`
	Subject     *descriptor       `json:"subject"`
}

// storeReferrer stores what is pushed and, if it refers to something, says that it
// will be listed by the referrers API; without that, clients maintain the referrers
// tag. OCI distribution specification 1.1, "Pushing Manifests with Subject".
func (r *Registry) storeReferrer(w http.ResponseWriter, req *http.Request) {
	content, err := io.ReadAll(req.Body)
	if err != nil {
		writeError(w, http.StatusBadRequest, "MANIFEST_INVALID", err.Error())
		return
	}
	var m manifest
	if err := json.Unmarshal(content, &m); err == nil && m.Subject != nil {
		w.Header().Set("OCI-Subject", m.Subject.Digest)
	}
	req.Body = io.NopCloser(bytes.NewReader(content))
	r.store.ServeHTTP(w, req)
}

func index(manifests []descriptor) map[string]any {
	if manifests == nil {
		manifests = []descriptor{}
	}
	return map[string]any{"schemaVersion": 2, "mediaType": types.OCIImageIndex, "manifests": manifests}
}

// serveReferrers answers the referrers API. OCI distribution specification
// 1.1, "Listing Referrers". The store knows which manifests refer to a subject,
// but lists them in no order, with the config's type only and unfiltered.
func (r *Registry) serveReferrers(w http.ResponseWriter, req *http.Request) {
	repository := repositoryOf(req.URL.Path)
	listed := r.do(http.MethodGet, req.URL.Path, "", nil)
	if listed.Code != http.StatusOK && listed.Code != http.StatusNotFound {
		writeError(w, listed.Code, "UNSUPPORTED", listed.Body.String())
		return
	}
	var found struct {
		Manifests []descriptor `json:"manifests"`
	}
	if listed.Code == http.StatusOK {
		_ = json.Unmarshal(listed.Body.Bytes(), &found)
	}
	subject := req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]
	manifests := r.describe(repository, subject, found.Manifests)
	if wanted := req.URL.Query().Get("artifactType"); wanted != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
		manifests = slices.DeleteFunc(manifests, func(d descriptor) bool { return d.ArtifactType != wanted })
	}
	answer, _ := json.Marshal(index(manifests))
	w.Header().Set("Content-Type", string(types.OCIImageIndex))
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer)
}

// describe lists what Attach stored, in its order and with its lies, and then
// what clients pushed.
func (r *Registry) describe(repository, subject string, found []descriptor) []descriptor {
	r.signing.Lock()
	manifests := slices.Clone(r.referrers[repository+"@"+subject])
	r.signing.Unlock()
	stored := len(manifests)
	for _, d := range found {
		if !slices.ContainsFunc(manifests, func(known descriptor) bool { return known.Digest == d.Digest }) {
			manifests = append(manifests, r.complete(repository, d))
		}
	}
	slices.SortFunc(manifests[stored:], func(a, b descriptor) int { return strings.Compare(a.Digest, b.Digest) })
	return manifests
}

// complete fills in what a manifest says about itself.
func (r *Registry) complete(repository string, d descriptor) descriptor {
	var m manifest
	_ = json.Unmarshal(r.do(http.MethodGet, "/v2/"+repository+"/manifests/"+d.Digest, "", nil).Body.Bytes(), &m)
	d.Annotations, d.ArtifactType = m.Annotations, m.ArtifactType
	if d.ArtifactType == "" || r.settings.emptyTypes {
		d.ArtifactType = m.Config.MediaType
	}
	return d
}
