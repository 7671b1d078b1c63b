package cloud

import (
	"context"
	"os"
	"regexp"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/oauth2"
	googleauth "golang.org/x/oauth2/google"
)

// googleHost is a registry of Google's. (The library's own keychain also takes
// all of google.com, and executes gcloud.)
// https://cloud.google.com/artifact-registry/docs/transition/gcr-repositories
var googleHost = regexp.MustCompile(`^((us|eu|asia|mirror)\.)?gcr\.io$|^[a-z0-9-]+\.pkg\.dev$`)

const (
	googleScope = "https://www.googleapis.com/auth/cloud-platform"
	// googleFile names a file with credentials, as Google's libraries have it.
	googleFile = "GOOGLE_APPLICATION_CREDENTIALS"
)

func google() provider {
	g := &googleTokens{}
	return provider{name: "Google", owns: googleHost.MatchString, login: g.login}
}

// googleTokens keeps the source of tokens, which reuses them.
type googleTokens struct {
	mu     sync.Mutex
	source oauth2.TokenSource
}

// login gets a token. Where nobody has set up Google's credentials, images of
// its registries are public ones.
func (g *googleTokens) login(ctx context.Context, _ string) (*authn.AuthConfig, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.source == nil {
		// The source outlives whoever asked first.
		found, err := googleauth.FindDefaultCredentials(context.WithoutCancel(ctx), googleScope)
		if err != nil && os.Getenv(googleFile) == "" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		g.source = found.TokenSource
	}
	token, err := g.source.Token()
	if err != nil {
		return nil, err
	}
	return &authn.AuthConfig{Username: "oauth2accesstoken", Password: token.AccessToken}, nil
}
