package notation

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/notaryproject/notation-core-go/revocation"
	"github.com/notaryproject/notation-core-go/revocation/ocsp"
	"github.com/notaryproject/notation-core-go/revocation/purpose"
	"github.com/notaryproject/notation-core-go/revocation/result"

	"github.com/sse-secure-systems/connaisseur/pkg/memo"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// revocationTimeout bounds what the verification of one image waits for answers
	// about all chains of certificates, and the inquiry about one, which goes on
	// when nobody waits any more.
	revocationTimeout = 4 * time.Second
	// answerLifetime is for how long an answer about a chain is remembered.
	answerLifetime = 10 * time.Minute
	maxAnswers     = 4096
)

// State is what outlives the configuration: what is known of revocations.
type State struct {
	answers *memo.Memo[[]*result.CertRevocationResult]
	crls    *memo.Memo[fetchedCRL]
}

// NewState makes an empty state.
func NewState() *State {
	return &State{
		answers: memo.New[[]*result.CertRevocationResult](maxAnswers, revocationTimeout),
		crls:    newCRLs(),
	}
}

// inquiry is the question whether certificates that a signature relies on were
// revoked.
type inquiry struct {
	state    *State
	client   *http.Client
	patience *patience
	// skip leaves the question out.
	skip bool
	// trusted tells that the signer is, and not just let pass: an address that a
	// stranger wrote into a certificate is not asked.
	trusted bool
	// revoked and unknown say what was found out, and what could not be.
	revoked, unknown string
	// cause is why it could not be.
	cause error
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
	if q.skip || !q.trusted || !slices.ContainsFunc(opts.CertChain, revocable) {
		return unasked(opts.CertChain), nil
	}
	for _, c := range opts.CertChain {
		if err := trust.CheckPublic(c.PublicKey); err != nil {
			return nil, err
		}
	}
	key := q.key(opts.CertChain)
	answers, err := q.patience.wait(ctx, key, func(ctx context.Context) ([]*result.CertRevocationResult, error) {
		return q.state.answers.Get(ctx, key, func(ctx context.Context) ([]*result.CertRevocationResult, time.Duration, error) {
			answers, err := q.ask(ctx, opts)
			if err == nil {
				err = unanswered(opts.CertChain, answers)
			}
			return answers, answerLifetime, err
		})
	})
	var none *noAnswer
	switch {
	case errors.As(err, &none):
		answers, q.unknown = none.answers, q.what+": "+none.Error()
	case err != nil:
		q.unknown, q.cause = q.what+": "+validator.Quote(because(err)), err
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
	for _, c := range opts.CertChain {
		for _, at := range c.OCSPServer {
			if _, err := url.Parse(at); err != nil { // with which the library panics
				return nil, fmt.Errorf("a certificate names an OCSP responder at %q, which is no URL", at)
			}
		}
	}
	opts.CertChain = reachable(opts.CertChain)
	v, err := revocation.NewWithOptions(revocation.Options{
		OCSPHTTPClient:   &http.Client{Transport: authorizedResponders{q.client.Transport, opts.CertChain}, CheckRedirect: q.client.CheckRedirect},
		CRLFetcher:       crlFetcher{q.client, q.state.crls, opts.CertChain},
		CertChainPurpose: q.purpose,
	})
	if err != nil {
		return nil, err
	}
	return v.ValidateContext(ctx, opts)
}

// revocable tells whether a certificate says where to ask.
func revocable(c *x509.Certificate) bool {
	return len(c.OCSPServer) > 0 || len(c.CRLDistributionPoints) > 0
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
	case errors.As(err, &late), errors.Is(err, context.DeadlineExceeded):
		return "it did not answer in time"
	case errors.As(err, &request):
		return request.Err.Error()
	}
	return err.Error()
}
