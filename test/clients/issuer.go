//go:build integration

package clients

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"time"
)

// audience is whom the tokens are for, as Fulcio demands it.
const audience = "sigstore"

// builds is the path below which the issuer vouches for builds; at the root, it
// does for people. To everybody else these are two issuers.
const builds = "/builds"

// issuer gives identity tokens, as an OpenID provider does.
// https://openid.net/specs/openid-connect-discovery-1_0.html
type issuer struct {
	key    *rsa.PrivateKey
	server *httptest.Server
}

func newIssuer() (*issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	i := &issuer{key: key}
	mux := http.NewServeMux()
	for _, path := range []string{"", builds} {
		mux.HandleFunc("GET "+path+"/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
			at := i.url() + path
			writeJSON(w, map[string]any{
				"issuer": at, "jwks_uri": i.url() + "/keys", "authorization_endpoint": at + "/auth", "token_endpoint": at + "/token",
				"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
				"id_token_signing_alg_values_supported": []string{"RS256"},
			})
		})
	}
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "only",
			"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	i.server = httptest.NewServer(mux)
	return i, nil
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // the client notices
}

func (i *issuer) url() string { return i.server.URL }

// ofPerson says that the bearer has this e-mail address.
func (i *issuer) ofPerson(email string) (string, error) {
	return i.token(map[string]any{"iss": i.url(), "sub": email, "email": email, "email_verified": true})
}

// ofBuild says that the bearer is a build of a branch or tag of a repository.
func (i *issuer) ofBuild(repository, ref string) (string, error) {
	return i.token(map[string]any{"iss": i.url() + builds, "sub": repository + ":" + ref, "repository": repository, "ref": ref})
}

// token completes the claims, which hold for as long as the tests may take.
// RFC 7519
func (i *issuer) token(claims map[string]any) (string, error) {
	now := time.Now()
	claims["aud"], claims["iat"], claims["nbf"], claims["exp"] = audience, now.Unix(), now.Unix(), now.Add(lifetime).Unix()
	header, err := json.Marshal(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "only"})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), err
}
