package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// unreachable classifies why a request got no answer. It names hosts and never
// whole URLs: those of redirects are often signed, and so credentials.
func (g *guard) unreachable(ctx context.Context, host string, err error) *validator.Error {
	who := called(ctx, host)
	var (
		classified *validator.Error
		refused    *refusal
		over       *oversized
		untrusted  *tls.CertificateVerificationError
		dns        *net.DNSError
	)
	say := func(format string, args ...any) *validator.Error {
		return &validator.Error{Reason: validator.RegistryUnavailable, Message: fmt.Sprintf(format, args...), Err: err}
	}
	sayLasting := func(format string, args ...any) *validator.Error {
		failure := say(format, args...)
		failure.Lasting = true
		return failure
	}
	switch {
	case errors.As(err, &classified):
		return classified
	case errors.As(err, &over):
		return over.classified()
	case ctx.Err() != nil:
		return late(who, ctx.Err())
	case errors.As(err, &refused):
		return sayLasting("%s is not asked: %s", who, refused.why)
	case speaksPlainHTTP(err) && !g.hosts.insecure(host):
		return sayLasting("%s speaks plain HTTP; %s", who, allowInsecure)
	case errors.As(err, &untrusted):
		return sayLasting("%s has a certificate that is not trusted (%s); if its certification authority is your own, "+
			"put it into cert for that host under registries in config-policy", who, validator.Quote(untrusted.Err.Error()))
	case errors.As(err, &dns):
		return say("%s cannot be found: %s", who, validator.Quote(dns.Err))
	}
	return say("%s cannot be reached: %s", who, connection(err))
}

// oversized is an answer that is larger than its limit.
type oversized struct {
	who   string
	limit int64
}

func (o *oversized) Error() string {
	return fmt.Sprintf("%s sent more than the %d bytes that are allowed here", o.who, o.limit)
}

func (o *oversized) classified() *validator.Error {
	return validator.Errorf(validator.TooLarge, "%w", o)
}

// unaffordable is the error for what the budget does not suffice for.
func unaffordable(who string, err error) *validator.Error {
	return &validator.Error{
		Reason:  validator.RegistryUnavailable,
		Message: fmt.Sprintf("what %s answers is not read: %v", who, err),
		Err:     err,
	}
}

// speaksPlainHTTP tells whether TLS failed because the other side has none.
func speaksPlainHTTP(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) && string(header.RecordHeader[:]) == "HTTP/" || errors.Is(err, http.ErrSchemeMismatch)
}

// constant are errors of net/http that quote nothing, and that it has no variables for.
var constant = []string{
	"http: server closed idle connection", "http: CloseIdleConnections called", "http: too many idle connections", "http: too many idle connections for host",
	"http: putIdleConn: keep alives disabled", "http: putIdleConn: connection is in bad state", "http: persistConn.readLoop exiting",
	"net/http: request canceled", "net/http: request canceled while waiting for connection", "net/http: abort Handler", "http: request body too large",
	"http2: client connection lost", "http2: client conn not usable", "http2: client conn is closed", "http2: server sent GOAWAY and closed the connection",
	"context canceled",
}

// connection says what went wrong with a connection. Errors about what came
// over it quote it, and a hostile registry may have echoed our credentials: so
// only the operating system's words are repeated.
func connection(err error) string {
	var (
		op      *net.OpError
		timeout net.Error
	)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection before its answer was complete"
	case errors.As(err, &op):
		return validator.Quote(op.Error())
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it was too slow"
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if slices.Contains(constant, e.Error()) {
			return "the connection was lost: " + e.Error()
		}
	}
	return "what it sent is no valid HTTP"
}

// late is the error of a call whose time was up.
func late(who string, err error) *validator.Error {
	return &validator.Error{
		Reason:  validator.Timeout,
		Message: fmt.Sprintf("%s did not answer in time; trying again may help", who),
		Err:     err,
	}
}

// classify makes an error that came out of go-containerregistry or a memo one
// of ours; who was asked for what, and who they took us for. A status outweighs a
// failed connection: of plain HTTP and TLS, only one can have been answered.
func classify(who, what string, us as, err error) *validator.Error {
	var (
		answered   *transport.Error
		over       *oversized
		classified *validator.Error
	)
	switch {
	case errors.As(err, &answered):
		return refusedBy(who, what, answered.StatusCode, codeOf(answered.Errors), us)
	case errors.As(err, &over):
		return over.classified()
	case errors.As(err, &classified):
		return classified
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return late(who, err)
	}
	// The text is not repeated: it may quote a token.
	return &validator.Error{
		Reason:  validator.RegistryUnavailable,
		Message: fmt.Sprintf("%s answered in a way that cannot be understood when asked for %s", who, what),
	}
}

// called is what messages call a host.
func called(ctx context.Context, host string) string {
	noun, ok := ctx.Value(nounKey{}).(string)
	if !ok {
		noun = registryNoun
	}
	return noun + " " + host
}

// nounKey is for what is asked, where that is no registry.
type nounKey struct{}

const registryNoun = "registry"

// as is whom a registry takes us for.
type as string

const (
	unasked  as = "the pull credentials for it are missing or wrong" // before anybody logged in
	nobody   as = "it needs pull credentials and we have none for it"
	loggedIn as = "the pull credentials that we have for it are wrong or do not reach it"
)

// refusedBy is the error for an answer whose status is not success.
func refusedBy(who, what string, status int, code string, us as) *validator.Error {
	said := fmt.Sprint(status)
	if code != "" {
		said += " " + code
	}
	switch {
	case status == http.StatusTooManyRequests, code == string(transport.TooManyRequestsErrorCode):
		return validator.Errorf(validator.RegistryThrottled,
			"%s throttles us (%s) when asked for %s; try again later, or give it credentials with a higher limit", who, said, what)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return validator.Errorf(validator.RegistryUnauthorized,
			"%s refuses access (%s) to %s: either it does not exist there, or %s", who, said, what, us)
	}
	return validator.Errorf(validator.RegistryUnavailable,
		"%s answered %s when asked for %s; trying again later may help", who, said, what)
}

// codes are the error codes that are worth quoting: OCI distribution
// specification, section "Error codes", and Docker's two more. Anything else
// a registry says is not repeated, since it knows our credentials and the
// reader of the message may not.
var codes = []transport.ErrorCode{
	transport.BlobUnknownErrorCode, transport.DeniedErrorCode, transport.ManifestBlobUnknownErrorCode,
	transport.ManifestInvalidErrorCode, transport.ManifestUnknownErrorCode, transport.NameInvalidErrorCode,
	transport.NameUnknownErrorCode, transport.TagInvalidErrorCode, transport.TooManyRequestsErrorCode,
	transport.UnauthorizedErrorCode, transport.UnavailableErrorCode, transport.UnknownErrorCode,
	transport.UnsupportedErrorCode,
}

// codeOf is the first code that is worth quoting.
func codeOf(said []transport.Diagnostic) string {
	for _, d := range said {
		if slices.Contains(codes, d.Code) {
			return string(d.Code)
		}
	}
	return ""
}

// codeIn is the same for the body of an answer.
func codeIn(body []byte) string {
	var said transport.Error
	_ = json.Unmarshal(body, &said) // no code if it is no such body
	return codeOf(said.Errors)
}
