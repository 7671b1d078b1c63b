// Connaisseur is the command line of the image-signature webhook: it answers
// beforehand, with the same engine and the same configuration, what the webhook
// would decide.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := newCLI(environment{
		in:      os.Stdin,
		out:     os.Stdout,
		err:     os.Stderr,
		now:     time.Now,
		cluster: readCluster, pullSecrets: pullSecretsOf, secrets: secretsOf, forget: forgetIn,
		client:   connect,
		terminal: func() bool { return term.IsTerminal(int(os.Stdin.Fd())) },
		build:    debug.ReadBuildInfo,
	}).run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
