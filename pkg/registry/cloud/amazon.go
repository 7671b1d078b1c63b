package cloud

import (
	"context"
	"io"
	"regexp"
	"sync"

	ecr "github.com/awslabs/amazon-ecr-credential-helper/ecr-login"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/sse-secure-systems/connaisseur/pkg/registry/credentials"
)

// amazonHost is a private registry of Amazon ECR. (public.ecr.aws needs no
// credentials.)
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html
var amazonHost = regexp.MustCompile(`^[0-9]{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com(\.cn)?|on\.aws|on\.amazonwebservices\.com\.cn)$`)

func amazon() provider {
	helper := sync.OnceValue(func() *ecr.ECRHelper { return ecr.NewECRHelper(ecr.WithLogger(io.Discard)) })
	return provider{
		name: "Amazon ECR",
		owns: amazonHost.MatchString,
		login: func(_ context.Context, host string) (*authn.AuthConfig, error) {
			user, password, err := helper().Get(host)
			if err != nil {
				return nil, err
			}
			login := credentials.Login(user, password)
			return &login, nil
		},
	}
}
