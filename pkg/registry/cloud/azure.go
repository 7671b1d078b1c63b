package cloud

import (
	"context"
	"regexp"

	"github.com/chrismellard/docker-credential-acr-env/pkg/credhelper"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
)

// azureHost is a registry of Azure Container Registry; the library's own check
// is not anchored.
// https://learn.microsoft.com/azure/container-registry/container-registry-get-started-portal
var azureHost = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?\.azurecr\.(io|cn|us|de)$`)

func azure() provider {
	return provider{
		name: "Azure",
		owns: azureHost.MatchString,
		login: func(_ context.Context, host string) (*authn.AuthConfig, error) {
			user, password, err := credhelper.NewACRCredentialsHelper().Get(host)
			if err != nil {
				return nil, err
			}
			login := credentials.Login(user, password)
			return &login, nil
		},
	}
}
