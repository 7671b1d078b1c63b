//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// builtImage is one that a kubelet can run.
type builtImage struct{ repository, tag, digest string }

func (i builtImage) String() string { return i.repository + ":" + i.tag }

// pinned is how the webhook writes it.
func (i builtImage) pinned() string { return i.String() + "@" + i.digest }

// byDigest is the image whatever becomes of the tag.
func (i builtImage) byDigest() string { return i.repository + "@" + i.digest }

// repository is where the tests' images are.
func repository() string { return os.Getenv("KO_DOCKER_REPO") + "/e2e/app" }

// plainHTTP tells whether image tools talk to the registry without TLS.
func plainHTTP() bool {
	repo, err := name.NewRepository(repository())
	return err == nil && repo.Scheme() == "http"
}

// cosign signs for the tests: the real one.
var cosign struct{ program, folder string }

// makeImages makes three images and two keys: ours, and a stranger's.
func makeImages(ctx context.Context) error {
	if os.Getenv("KO_DOCKER_REPO") == "" {
		return errors.New("KO_DOCKER_REPO must name a registry that the nodes reach")
	}
	program, err := command(ctx, "hack/tools.sh", "cosign")
	if err != nil {
		return err
	}
	cosign.program = strings.TrimSpace(program)
	if cosign.folder, err = os.MkdirTemp("", "connaisseur-e2e-"); err != nil {
		return err
	}
	for _, who := range []string{"ours", "stranger"} {
		if _, err := commandWith(ctx, []string{"COSIGN_PASSWORD="}, cosign.program, "generate-key-pair", "--output-key-prefix", filepath.Join(cosign.folder, who)); err != nil {
			return err
		}
	}
	for who, key := range map[string]*string{"ours": &publicKey, "stranger": &strangersKey} {
		text, err := os.ReadFile(filepath.Join(cosign.folder, who+".pub"))
		if err != nil {
			return err
		}
		*key = string(text)
	}
	for tag, image := range map[string]*builtImage{"signed": &signed, "unsigned": &unsigned, "foreign": &foreign} {
		if *image, err = build(ctx, tag); err != nil {
			return err
		}
	}
	return errors.Join(sign(ctx, "ours", signed), sign(ctx, "stranger", foreign))
}

// build makes an image unlike the others.
func build(ctx context.Context, tag string) (builtImage, error) {
	out, err := commandWith(ctx, []string{"KO_DOCKER_REPO=" + repository()},
		"ko", "build", "--bare", "--sbom=none", "--tags", tag, "--image-label", "variant="+tag, "./hack/cluster/pause")
	if err != nil {
		return builtImage{}, err
	}
	_, digest, ok := strings.Cut(strings.TrimSpace(out), "@")
	if !ok {
		return builtImage{}, fmt.Errorf("ko said %q, which has no digest", out)
	}
	return builtImage{repository(), tag, digest}, nil
}

// sign has a key sign the image.
func sign(ctx context.Context, who string, image builtImage) error {
	args := []string{"sign", "--yes", "--tlog-upload=false", "--key", filepath.Join(cosign.folder, who+".key")}
	if plainHTTP() {
		args = append(args, "--allow-insecure-registry", "--allow-http-registry")
	}
	_, err := commandWith(ctx, []string{"COSIGN_PASSWORD="}, cosign.program, append(args, image.byDigest())...)
	return err
}

// move points the tag to another image.
func move(t *testing.T, tag string, to builtImage) {
	t.Helper()
	source, err := name.NewDigest(to.byDigest())
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuthFromKeychain(authn.DefaultKeychain)
	image, err := remote.Get(source, auth, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	target, err := name.NewTag(repository() + ":" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Tag(target, image, auth, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
}
