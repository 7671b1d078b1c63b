package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// runRegistry serves a registry without authentication on the given addresses
// until it is interrupted. It logs nothing per request unless asked to.
func runRegistry(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:5050", "addresses to listen on, with commas")
	blobs := flags.String("blobs", "", "existing folder for blobs; in memory when empty")
	verbose := flags.Bool("verbose", false, "log every request to standard error")
	if err := flags.Parse(args); err != nil {
		return err
	}
	handler := newRegistry(*blobs, *verbose)
	servers := make(chan error)
	addresses := list(*listen)
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "registry listens on", l.Addr())
		go func() { servers <- serve(ctx, l, handler) }()
	}
	for range addresses {
		if err := <-servers; err != nil {
			return err
		}
	}
	return nil
}

func newRegistry(blobs string, verbose bool) http.Handler {
	out := io.Discard
	if verbose {
		out = os.Stderr
	}
	options := []registry.Option{
		registry.WithReferrersSupport(true),
		registry.Logger(log.New(out, "", log.LstdFlags)),
	}
	if blobs != "" {
		options = append(options, registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)))
	}
	return registry.New(options...)
}

// serve ends with ctx and waits a moment for what is under way.
func serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		done <- server.Shutdown(grace)
	}()
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return <-done
}
