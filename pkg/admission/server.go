package admission

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/webhook"
)

// maxTimeout is the longest that an API server waits for a webhook.
const maxTimeout = 30 * time.Second

// ServerOptions are the settings of a Server.
type ServerOptions struct {
	// Port is where to listen, on all addresses.
	Port int
	// GracePeriod is how long to go on answering after readiness has ended,
	// so that API servers notice.
	GracePeriod time.Duration
	// Certificate gives the certificate to serve with.
	Certificate func() (*tls.Certificate, error)
	// Tracer makes the spans of requests; nil makes none.
	Tracer trace.TracerProvider
	// Meter counts the requests; nil where nobody wants to know.
	Meter *Meter
}

// Server serves admission webhooks over HTTPS.
type Server struct {
	http   *http.Server
	guard  *guard
	grace  time.Duration
	logger *zap.SugaredLogger
}

// NewServer makes a server for the controllers, with knative's handler for
// each.
func NewServer(ctx context.Context, o ServerOptions, controllers ...webhook.AdmissionController) (*Server, error) {
	logger := logging.FromContext(ctx)
	// knative logs each request with its object at Info; one line for each
	// decision is written by the handlers.
	quiet := logger.WithOptions(zap.IncreaseLevel(zapcore.WarnLevel), zap.WrapCore(newLazy))
	registered := make([]any, len(controllers))
	for i, c := range controllers {
		registered[i] = c
	}
	// Without a Secret's name knative leaves TLS to us.
	inner, err := webhook.New(webhook.WithOptions(logging.WithLogger(ctx, quiet), webhook.Options{}), registered)
	if err != nil {
		return nil, fmt.Errorf("cannot set up the webhooks: %w", err)
	}
	inner.InformersHaveSynced() // our handlers look after that themselves
	s := &Server{logger: logger, grace: o.GracePeriod, guard: newGuard(inner, logger).traced(o.Tracer)}
	// HTTP/1.1 only: its connections are spread over the replicas, and cost
	// less for each request.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	var handler http.Handler = s.guard
	if o.Meter != nil {
		handler = o.Meter.Count(handler)
	}
	s.http = &http.Server{
		Protocols:         protocols,
		Addr:              ":" + strconv.Itoa(o.Port),
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       maxTimeout,
		WriteTimeout:      2 * maxTimeout,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          zap.NewStdLog(quiet.Desugar()),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return o.Certificate()
			},
		},
	}
	return s, nil
}

// lazy is a core that encodes fields only for lines that are written: knative
// adds ten for each request, and writes none.
type lazy struct{ zapcore.Core }

func newLazy(core zapcore.Core) zapcore.Core { return lazy{core} }

// With implements zapcore.Core.
func (l lazy) With(fields []zapcore.Field) zapcore.Core {
	return lazy{zapcore.NewLazyWith(l.Core, fields)}
}

// Run serves until ctx ends, and then for the grace period, in which API
// servers notice that this replica is not ready any more.
func (s *Server) Run(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.http.Addr)
	if err != nil {
		return fmt.Errorf("cannot serve the webhooks: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.http.ServeTLS(listener, "", "") }()
	select {
	case err := <-done:
		return fmt.Errorf("serving the webhooks ended: %w", err)
	case <-ctx.Done():
	}
	s.logger.Info("Draining the webhooks")
	s.guard.draining.Store(true)
	time.Sleep(s.grace)
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxTimeout)
	defer cancel()
	if err := s.http.Shutdown(shutdown); err != nil {
		return fmt.Errorf("some requests were not answered: %w", err)
	}
	return nil
}
