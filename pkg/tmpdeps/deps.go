// Package tmpdeps is temporary.
package tmpdeps

import (
	_ "github.com/awslabs/amazon-ecr-credential-helper/ecr-login"
	_ "github.com/chrismellard/docker-credential-acr-env/pkg/credhelper"
	_ "github.com/google/cel-go/cel"
	_ "github.com/google/cel-go/ext"
	_ "github.com/google/go-containerregistry/pkg/v1/google"
	_ "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	_ "github.com/sigstore/rekor/pkg/generated/client"
	_ "github.com/sigstore/sigstore-go/pkg/bundle"
	_ "github.com/sigstore/sigstore-go/pkg/root"
	_ "github.com/sigstore/sigstore-go/pkg/testing/ca"
	_ "github.com/sigstore/sigstore-go/pkg/tuf"
	_ "github.com/sigstore/sigstore-go/pkg/verify"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"
	_ "github.com/theupdateframework/go-tuf/v2/metadata/fetcher"
)
