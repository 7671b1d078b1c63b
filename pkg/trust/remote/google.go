package remote

import (
	"context"
	"fmt"
	"strings"

	kms "cloud.google.com/go/kms/apiv1"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	"google.golang.org/api/option"
	gtransport "google.golang.org/api/transport/grpc"
	"google.golang.org/grpc"
)

// googleEndpoint is where Google's KMS is.
const googleEndpoint = "cloudkms.googleapis.com:443"

func isGoogle(uri string) bool { return strings.HasPrefix(uri, gcp.ReferenceScheme) }

// dialGoogle makes a connection of our own for the provider, which would make
// one for each fetch and never close it.
func (k keys) dialGoogle(ctx context.Context) (*grpc.ClientConn, signature.RPCOption, error) {
	opts := append([]option.ClientOption{option.WithEndpoint(googleEndpoint), option.WithScopes(kms.DefaultAuthScopes()...)}, k.google...)
	connection, err := gtransport.Dial(ctx, opts...)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot connect to Google's KMS: %w", err)
	}
	return connection, gcp.WithGoogleAPIClientOption(option.WithGRPCConn(connection)), nil
}
