package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// command is one subcommand; args are those after its name.
type command struct {
	name, purpose string
	run           func(ctx context.Context, args []string) error
}

var commands = []command{
	{"ports", "print the given ports, each busy one replaced by a free one", runPorts},
	{"certs", "write the authority, the certificates and the kubeconfigs of a cluster", runCerts},
	{"registry", "serve an image registry until interrupted", runRegistry},
	{"image", "push an empty image, or one with a single static program", runImage},
	{"probe", "ask an https URL once, trusting one authority", runProbe},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		for _, c := range commands {
			if c.name == args[0] {
				return c.run(ctx, args[1:])
			}
		}
	}
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  %-9s %s\n", c.name, c.purpose)
	}
	return fmt.Errorf("want one of the subcommands above, got %q", args)
}
