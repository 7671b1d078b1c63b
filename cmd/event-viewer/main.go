// The event viewer shows the findings that it is sent, as they come, in a page.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/kelseyhightower/envconfig"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// environment is what a deployment sets.
type environment struct {
	Port     int           `envconfig:"PORT" default:"8080"`
	LogLevel zapcore.Level `envconfig:"LOG_LEVEL" default:"info"`
	// Token is what whoever posts must know, if anything; TokenFile has it in a file,
	// which is read again for each request.
	Token     string `envconfig:"POST_TOKEN"`
	TokenFile string `envconfig:"POST_TOKEN_FILE"`
	// Hosts are the names by which browsers may read. A page of somebody else's whose
	// name leads here (DNS rebinding) has another.
	Hosts []string `envconfig:"VIEWER_HOSTS" default:"localhost,127.0.0.1,::1"`
	// MaxClients is how many may watch at the same time.
	MaxClients  int           `envconfig:"MAX_CLIENTS" default:"32"`
	GracePeriod time.Duration `envconfig:"GRACE_PERIOD" default:"5s"`
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

// run serves until the process is told to end.
func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var env environment
	if err := envconfig.Process("", &env); err != nil {
		return fmt.Errorf("the environment is not valid: %w", err)
	}
	logging := zap.NewProductionConfig()
	logging.Level = zap.NewAtomicLevelAt(env.LogLevel)
	logger, err := logging.Build()
	if err != nil {
		return err
	}
	defer func() { _ = logger.Sync() }()
	if env.Token != "" && env.TokenFile != "" {
		return errors.New("the environment is not valid: POST_TOKEN and POST_TOKEN_FILE exclude one another")
	}
	v := newViewer(options{Token: env.token, Hosts: env.Hosts, MaxClients: env.MaxClients, Logger: logger})
	if _, err := env.token(); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(env.Port)))
	if err != nil {
		return err
	}
	logger.Info("Listening", zap.Stringer("address", listener.Addr()))
	return v.serve(ctx, listener, env.GracePeriod)
}
