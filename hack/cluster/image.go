package main

import (
	"archive/tar"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// nonroot is the user of every image made here, by the convention of the
// distroless images.
const nonroot = "65532:65532"

// runImage pushes an image to a registry that it reaches without credentials.
func runImage(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	ref := flags.String("ref", "", "reference to push to")
	program := flags.String("program", "", "static program that the image runs; none for an empty base image")
	if err := flags.Parse(args); err != nil {
		return err
	}
	tag, err := name.ParseReference(*ref)
	if err != nil {
		return err
	}
	img, err := buildImage(*program)
	if err != nil {
		return err
	}
	return remote.Write(tag, img, remote.WithContext(ctx))
}

// buildImage makes an image for this machine's architecture and the nonroot
// user. It is the same, byte for byte, for the same program.
func buildImage(program string) (v1.Image, error) {
	config := v1.Config{User: nonroot, WorkingDir: "/"}
	img := empty.Image
	if program != "" {
		target := "/" + path.Base(program)
		config.Entrypoint = []string{target}
		layer, err := programLayer(program, target)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Config = "linux", runtime.GOARCH, config
	return mutate.ConfigFile(img, file)
}

func programLayer(program, target string) (v1.Layer, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	header := &tar.Header{Name: target, Mode: 0o555, Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := w.WriteHeader(header); err != nil {
		return nil, fmt.Errorf("layer of %s: %w", program, err)
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
}
