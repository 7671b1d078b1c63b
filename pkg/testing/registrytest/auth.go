package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const tokenPath = "/token"

// grant is what a token is good for.
type grant struct {
	repository string
	expires    time.Time
}

// RevokeTokens makes every token that was given so far worthless.
func (r *Registry) RevokeTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.tokens)
}

// allowed tells whether a request may see what it asks for.
func (r *Registry) allowed(req *http.Request) bool {
	switch r.settings.auth {
	case "basic":
		user, password, _ := req.BasicAuth()
		return user == r.settings.user && password == r.settings.password
	case "bearer":
		token := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		r.mu.Lock()
		defer r.mu.Unlock()
		g, ok := r.tokens[token]
		return ok && time.Now().Before(g.expires) && g.repository == repositoryOf(req.URL.Path)
	}
	return true
}

func (r *Registry) challenge(w http.ResponseWriter, req *http.Request) {
	header := `Basic realm="test"`
	if r.settings.auth == "bearer" {
		header = fmt.Sprintf(`Bearer realm="%s",service="test"`, r.URL()+tokenPath)
		if repository := repositoryOf(req.URL.Path); repository != "" {
			header += fmt.Sprintf(`,scope="repository:%s:pull"`, repository)
		}
	}
	w.Header().Set("WWW-Authenticate", header)
	writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
}

// serveToken is the token service.
// https://distribution.github.io/distribution/spec/auth/token/
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	user, password, _ := req.BasicAuth()
	if r.settings.user != "" && (user != r.settings.user || password != r.settings.password) {
		writeError(w, http.StatusUnauthorized, "UNAUTHORIZED", "wrong user or password")
		return
	}
	repository := strings.TrimPrefix(req.FormValue("scope"), "repository:")
	if i := strings.LastIndexByte(repository, ':'); i >= 0 {
		repository = repository[:i]
	}
	r.mu.Lock()
	r.issued++
	token := fmt.Sprintf("token-%d", r.issued)
	r.tokens[token] = grant{repository: repository, expires: time.Now().Add(r.settings.tokenLifetime)}
	r.mu.Unlock()
	name := "token"
	if r.settings.accessToken {
		name = "access_token"
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{name: token, "expires_in": int(r.settings.tokenLifetime.Seconds())})
}

// writeError answers with an error body. OCI distribution specification,
// section "Error codes".
func writeError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
}
