package registrytest

import (
	"maps"
	"net/http"
	"strings"
)

const trustPath = "/_trust/tuf/"

// ServeTrustData has the registry serve files as the trust data of a repository,
// as a notary server would, in the place of those that it served before. The
// repository is called by its whole name, registry and all.
func (r *Registry) ServeTrustData(repository string, files map[string][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.trust == nil {
		r.trust = map[string]map[string][]byte{}
	}
	r.trust[repository] = maps.Clone(files)
}

func (r *Registry) serveTrustData(w http.ResponseWriter, req *http.Request) {
	repository, file, _ := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), trustPath)
	r.mu.Lock()
	raw, ok := r.trust[repository][file]
	r.mu.Unlock()
	if !ok {
		writeError(w, http.StatusNotFound, "METADATA_NOT_FOUND", "You have requested metadata that does not exist.")
		return
	}
	_, _ = w.Write(raw)
}
