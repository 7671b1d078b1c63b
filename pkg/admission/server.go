package admission

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/network/handlers"
	"knative.dev/pkg/webhook"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// maxReview is the size of an AdmissionReview that knative's handler reads, in
// bytes.
const maxReview = 3 << 20

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
}

// Server serves admission webhooks over HTTPS.
type Server struct {
	http    *http.Server
	drainer *handlers.Drainer
	logger  *zap.SugaredLogger
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
	s := &Server{logger: logger, drainer: &handlers.Drainer{Inner: guard(inner, logger), QuietPeriod: o.GracePeriod}}
	// HTTP/1.1 only: its connections are spread over the replicas, and cost
	// less for each request.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s.http = &http.Server{
		Protocols:         protocols,
		Addr:              ":" + strconv.Itoa(o.Port),
		Handler:           s.drainer,
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

// Run serves until ctx ends, and then as long as requests still come in for
// the grace period.
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
	s.drainer.Drain()
	shutdown, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxTimeout)
	defer cancel()
	if err := s.http.Shutdown(shutdown); err != nil {
		return fmt.Errorf("some requests were not answered: %w", err)
	}
	return nil
}

// guard answers what knative's handler does not: a review that is too large,
// one without a request, at which it panics, and any other panic.
func guard(next http.Handler, logger *zap.SugaredLogger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(p)
			}
			logger.Errorw("A request could not be processed", "path", r.URL.Path, "panic", fmt.Sprint(p))
			http.Error(w, "the body is not an AdmissionReview with a request ("+string(validator.Internal)+")", http.StatusBadRequest)
		}()
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "an AdmissionReview must be posted", http.StatusMethodNotAllowed)
			return
		}
		if r.ContentLength > maxReview {
			refuseTooLarge(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuseTooLarge denies a review that is too large to be read. A failed call
// would admit it where failurePolicy is Ignore.
func refuseTooLarge(w http.ResponseWriter, r *http.Request) {
	uid, version := peekUID(io.LimitReader(r.Body, 64<<10))
	if uid == "" {
		http.Error(w, fmt.Sprintf("the AdmissionReview is larger than %d bytes (%s)", maxReview, validator.TooLarge), http.StatusRequestEntityTooLarge)
		return
	}
	response := denial(fmt.Sprintf("the object is too large to be checked: its AdmissionReview has %d bytes, %d are allowed (%s)", r.ContentLength, maxReview, validator.TooLarge))
	response.UID = types.UID(uid)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(admissionv1.AdmissionReview{ // the connection is gone if this fails
		TypeMeta: metav1.TypeMeta{APIVersion: version, Kind: "AdmissionReview"},
		Response: response,
	})
}

// peekUID finds the request's UID at the start of a review, where the API
// server writes it, and the review's version.
func peekUID(r io.Reader) (uid, version string) {
	decoder := json.NewDecoder(r)
	var path []string // the keys that lead to where the decoder is
	key := ""
	for {
		token, err := decoder.Token()
		if err != nil {
			return uid, version
		}
		switch t := token.(type) {
		case json.Delim:
			switch {
			case t == '{':
				path = append(path, key)
			case t == '}' && len(path) > 0:
				path = path[:len(path)-1]
			default:
				return uid, version // lists come after what is looked for
			}
			key = ""
		case string:
			switch {
			case key == "":
				key = t
				continue
			case len(path) == 1 && key == "apiVersion":
				version = t
			case len(path) == 2 && path[1] == "request" && key == "uid":
				uid = t
			}
			key = ""
		default:
			key = ""
		}
		if uid != "" && version != "" {
			return uid, version
		}
	}
}
