package notation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/crl"
	"github.com/notaryproject/notation-core-go/revocation/ocsp"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/sse-secure-systems/connaisseur/pkg/memo"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// revocationTimeout bounds the inquiry about one chain of certificates.
	revocationTimeout = 4 * time.Second
	// answerLifetime is for how long an answer about a chain is remembered.
	answerLifetime = 10 * time.Minute
	maxAnswers     = 4096
	// crlLifetime is for how long a CRL is kept, if it is valid that long.
	crlLifetime = time.Hour
	// A CRL of that size names some thousands of certificates, and takes several
	// times as much memory. Larger ones are not kept.
	maxKeptCRLs     = 32
	maxKeptCRLBytes = 128 << 10
)

// State is what outlives the configuration: what is known of revocations.
type State struct {
	answers *memo.Memo[[]*result.CertRevocationResult]
	crls    crlCache
}

// NewState makes an empty state.
func NewState() *State {
	return &State{
		answers: memo.New[[]*result.CertRevocationResult](maxAnswers, revocationTimeout),
		crls:    crlCache{memo.New[*crl.Bundle](maxKeptCRLs, revocationTimeout)},
	}
}

// inquiry is the question whether certificates that a signature relies on were
// revoked.
type inquiry struct {
	state  *State
	client *http.Client
	// skip leaves the question out.
	skip bool
	// trusted tells that the signer is, and not just let pass: an address that a
	// stranger wrote into a certificate is not asked.
	trusted bool
	// revoked and unknown say what was found out, and what could not be.
	revoked, unknown string
}

// chain is whose certificates are asked about.
type chain struct {
	what    string
	purpose purpose.Purpose
}

var (
	signers              = chain{"the signer", purpose.CodeSigning}
	timestampAuthorities = chain{"the timestamp authority", purpose.Timestamping}
)

// of is the inquiry about one chain.
func (q *inquiry) of(c chain) revocation.Validator { return inquiryOf{q, c} }

type inquiryOf struct {
	*inquiry
	chain
}

// ValidateContext implements revocation.Validator. The root is never asked about.
func (q inquiryOf) ValidateContext(ctx context.Context, opts revocation.ValidateContextOptions) ([]*result.CertRevocationResult, error) {
	if q.skip || !q.trusted {
		return unasked(opts.CertChain), nil
	}
	for _, c := range opts.CertChain {
		if err := trust.CheckPublic(c.PublicKey); err != nil {
			return nil, err
		}
	}
	answers, err := q.state.answers.Get(ctx, q.key(opts.CertChain), func(ctx context.Context) ([]*result.CertRevocationResult, time.Duration, error) {
		answers, err := q.ask(ctx, opts)
		if err == nil {
			err = unanswered(opts.CertChain, answers)
		}
		return answers, answerLifetime, err
	})
	var none *noAnswer
	switch {
	case errors.As(err, &none):
		answers, q.unknown = none.answers, q.what+": "+none.Error()
	case err != nil:
		q.unknown = q.what + ": " + validator.Quote(err.Error())
		return nil, err
	}
	for i, a := range answers {
		if a.Result == result.ResultRevoked {
			q.revoked = fmt.Sprintf("the certificate %s of %s was revoked", validator.Quote(opts.CertChain[i].Subject.String()), q.what)
		}
	}
	return answers, nil
}

// key identifies a chain.
func (q inquiryOf) key(certificates []*x509.Certificate) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%d %d ", q.purpose, len(certificates))
	for _, c := range certificates {
		_, _ = sum.Write(c.Raw)
	}
	return string(sum.Sum(nil))
}

// ask asks OCSP responders, and looks into CRLs where those do not answer.
func (q inquiryOf) ask(ctx context.Context, opts revocation.ValidateContextOptions) ([]*result.CertRevocationResult, error) {
	fetcher, err := crl.NewHTTPFetcher(q.client)
	if err != nil {
		return nil, err
	}
	fetcher.Cache = q.state.crls
	responders := &http.Client{Transport: authorizedResponders{q.client.Transport, opts.CertChain}, CheckRedirect: q.client.CheckRedirect}
	v, err := revocation.NewWithOptions(revocation.Options{OCSPHTTPClient: responders, CRLFetcher: fetcher, CertChainPurpose: q.purpose})
	if err != nil {
		return nil, err
	}
	return v.ValidateContext(ctx, opts)
}

// unasked are the answers where nothing is asked.
func unasked(certificates []*x509.Certificate) []*result.CertRevocationResult {
	answers := make([]*result.CertRevocationResult, len(certificates))
	for i := range answers {
		answers[i] = &result.CertRevocationResult{Result: result.ResultNonRevokable}
	}
	return answers
}

// noAnswer is the error for certificates about which nothing could be found out.
// It keeps them from being remembered.
type noAnswer struct {
	answers []*result.CertRevocationResult
	why     []string
}

func (n *noAnswer) Error() string { return strings.Join(n.why, "; ") }

// unanswered finds the certificates about which there is no answer, unless one
// was revoked anyway.
func unanswered(certificates []*x509.Certificate, answers []*result.CertRevocationResult) error {
	n := &noAnswer{answers: answers}
	for i, a := range answers {
		switch a.Result {
		case result.ResultRevoked:
			return nil
		case result.ResultOK, result.ResultNonRevokable:
			continue
		}
		why := "about " + validator.Quote(certificates[i].Subject.String())
		for _, s := range a.ServerResults {
			if s.Error != nil {
				why += fmt.Sprintf(", %s: %s", validator.Quote(s.Server), validator.Quote(because(s.Error)))
			}
		}
		n.why = append(n.why, why)
	}
	if n.why == nil {
		return nil
	}
	return n
}

// because is what the library's error says, without what is said anyway.
func because(err error) string {
	var (
		generic ocsp.GenericError
		late    ocsp.TimeoutError
		request *url.Error
	)
	if errors.As(err, &generic) && generic.Err != nil {
		err = generic.Err
	}
	switch {
	case errors.As(err, &late):
		return "it did not answer in time"
	case errors.As(err, &request):
		return request.Err.Error()
	}
	return err.Error()
}

// crlCache keeps small CRLs.
type crlCache struct{ kept *memo.Memo[*crl.Bundle] }

var _ crl.Cache = crlCache{}

// Get implements crl.Cache; the caller looks at the validity.
func (c crlCache) Get(_ context.Context, url string) (*crl.Bundle, error) {
	if bundle, ok := c.kept.Peek(url); ok {
		return bundle, nil
	}
	return nil, crl.ErrCacheMiss
}

// Set implements crl.Cache.
func (c crlCache) Set(_ context.Context, url string, bundle *crl.Bundle) error {
	size := len(bundle.BaseCRL.Raw)
	if bundle.DeltaCRL != nil {
		size += len(bundle.DeltaCRL.Raw)
	}
	if size <= maxKeptCRLBytes {
		c.kept.Put(url, bundle, crlLifetime)
	}
	return nil
}
