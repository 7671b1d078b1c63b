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
	switch {
	case errors.As(err, &classified):
		return classified
	case errors.As(err, &over):
		return over.classified()
	case ctx.Err() != nil:
		return late(host, ctx.Err())
	case errors.As(err, &refused):
		return say("registry %s is not asked: %s", host, refused.why)
	case speaksPlainHTTP(err) && !g.hosts.insecure(host):
		return say("registry %s speaks plain HTTP; %s", host, allowInsecure)
	case errors.As(err, &untrusted):
		return say("registry %s has a certificate that is not trusted (%s); if its certification authority is your own, "+
			"put it into cert for that host under registries in config-policy", host, validator.Quote(untrusted.Err.Error()))
	case errors.As(err, &dns):
		return say("registry %s cannot be found: %s", host, validator.Quote(dns.Err))
	}
	return say("registry %s cannot be reached: %s", host, connection(err))
}

// oversized is an answer that is larger than its limit.
type oversized struct {
	host  string
	limit int64
}

func (o *oversized) Error() string {
	return fmt.Sprintf("registry %s sent more than the %d bytes that are allowed here", o.host, o.limit)
}

func (o *oversized) classified() *validator.Error {
	return validator.Errorf(validator.TooLarge, "%w", o)
}

// unaffordable is the error for what the budget does not suffice for.
func unaffordable(host string, err error) *validator.Error {
	return &validator.Error{
		Reason:  validator.RegistryUnavailable,
		Message: fmt.Sprintf("what registry %s answers is not read: %v", host, err),
		Err:     err,
	}
}

// speaksPlainHTTP tells whether TLS failed because the other side has none.
func speaksPlainHTTP(err error) bool {
	var header tls.RecordHeaderError
	return errors.As(err, &header) && string(header.RecordHeader[:]) == "HTTP/" || errors.Is(err, http.ErrSchemeMismatch)
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
	return "what it sent is no valid HTTP"
}

// late is the error of a call whose time was up.
func late(host string, err error) *validator.Error {
	return &validator.Error{
		Reason:  validator.Timeout,
		Message: fmt.Sprintf("registry %s did not answer in time; trying again may help", host),
		Err:     err,
	}
}

// classify makes an error that came out of go-containerregistry or a memo one
// of ours; what is what it was about, and who the registry took us for. A status outweighs a failed connection:
// of plain HTTP and TLS, only one can have been answered.
func classify(host, what string, who as, err error) *validator.Error {
	var (
		answered   *transport.Error
		over       *oversized
		classified *validator.Error
	)
	switch {
	case errors.As(err, &answered):
		return refusedBy(host, what, answered.StatusCode, codeOf(answered.Errors), who)
	case errors.As(err, &over):
		return over.classified()
	case errors.As(err, &classified):
		return classified
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return late(host, err)
	}
	// The text is not repeated: it may quote a token.
	return &validator.Error{
		Reason:  validator.RegistryUnavailable,
		Message: fmt.Sprintf("registry %s answered in a way that cannot be understood when asked for %s", host, what),
	}
}

// as is whom a registry takes us for.
type as string

const (
	unasked  as = "the pull credentials for it are missing or wrong" // before anybody logged in
	nobody   as = "it needs pull credentials and we have none for it"
	loggedIn as = "the pull credentials that we have for it are wrong or do not reach it"
)

// refusedBy is the error for an answer whose status is not success.
func refusedBy(host, what string, status int, code string, who as) *validator.Error {
	said := fmt.Sprint(status)
	if code != "" {
		said += " " + code
	}
	switch {
	case status == http.StatusTooManyRequests, code == string(transport.TooManyRequestsErrorCode):
		return validator.Errorf(validator.RegistryThrottled,
			"registry %s throttles us (%s) when asked for %s; try again later, or give it credentials with a higher limit", host, said, what)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return validator.Errorf(validator.RegistryUnauthorized,
			"registry %s refuses access (%s) to %s: either it does not exist there, or %s", host, said, what, who)
	}
	return validator.Errorf(validator.RegistryUnavailable,
		"registry %s answered %s when asked for %s; trying again later may help", host, said, what)
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
