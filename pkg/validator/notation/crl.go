package notation

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/notaryproject/notation-core-go/revocation/crl"
	"golang.org/x/crypto/cryptobyte"

	"github.com/sse-secure-systems/connaisseur/pkg/memo"
)

const (
	// crlLifetime is for how long a CRL is kept, if it is valid that long.
	crlLifetime = time.Hour
	// maxKeptCRLs and maxKeptBytes bound the CRLs that are kept.
	maxKeptCRLs  = 256
	maxKeptBytes = 16 << 20
	// maxDeltas bounds the alternative addresses of a delta CRL that are tried.
	maxDeltas = 3
)

// crlFetcher fetches the CRLs about the certificates of one chain.
//
// The library decides what a CRL says of a certificate. It is not given CRLs as
// they are fetched: its own fetcher parses every entry, and connects to what a
// CRL names as its delta, before it is known who has made it; and it does not
// look at what a CRL is about. It gets what condense leaves of one, whose
// signature it verifies once more.
type crlFetcher struct {
	client *http.Client
	kept   *memo.Memo[fetchedCRL]
	chain  []*x509.Certificate
}

var _ crl.Fetcher = crlFetcher{}

// fetchedCRL is a CRL and what has changed since, both verified.
type fetchedCRL struct{ base, delta []byte }

func (f fetchedCRL) bytes() int64 { return int64(len(f.base) + len(f.delta)) }

// newCRLs makes an empty memory of CRLs.
func newCRLs() *memo.Memo[fetchedCRL] {
	return memo.NewWeighed(maxKeptCRLs, maxKeptBytes, fetchedCRL.bytes, revocationTimeout)
}

// Fetch implements crl.Fetcher. The CRL holds for every certificate that names the
// address.
func (f crlFetcher) Fetch(ctx context.Context, at string) (*crl.Bundle, error) {
	var (
		found   *fetchedCRL
		serials []*big.Int
	)
	for i, c := range f.chain[:len(f.chain)-1] {
		if !slices.Contains(c.CRLDistributionPoints, at) {
			continue
		}
		w := wantedCRL{client: f.client, url: at, certificate: c, issuer: f.chain[i+1]}
		fetched, err := f.kept.Get(ctx, w.key(), w.fetch)
		if err != nil {
			return nil, err
		}
		found, serials = &fetched, append(serials, c.SerialNumber)
	}
	if found == nil {
		return nil, errors.New("no certificate names it")
	}
	base, err := condense(found.base, serials)
	if err != nil || found.delta == nil {
		return &crl.Bundle{BaseCRL: base}, err
	}
	delta, err := condense(found.delta, serials)
	return &crl.Bundle{BaseCRL: base, DeltaCRL: delta}, err
}

// wantedCRL is the CRL that tells whether a certificate was revoked.
type wantedCRL struct {
	client      *http.Client
	url         string
	certificate *x509.Certificate
	issuer      *x509.Certificate
}

// key identifies the CRL, and everything by which it is verified.
func (w wantedCRL) key() string {
	return fmt.Sprintf("%x %t %s", sha256.Sum256(w.issuer.Raw), w.certificate.IsCA, w.url)
}

// fetch is a flight of a memory of CRLs.
func (w wantedCRL) fetch(ctx context.Context) (fetchedCRL, time.Duration, error) {
	body, done, err := w.download(ctx, w.url)
	if err != nil {
		return fetchedCRL{}, 0, err
	}
	defer done()
	base, err := w.verify(body)
	if err != nil {
		return fetchedCRL{}, 0, err
	}
	if err := w.checkBase(base); err != nil {
		return fetchedCRL{}, 0, err
	}
	fetched, valid := fetchedCRL{base: body}, base.NextUpdate
	if points := extension(base.Extensions, freshestCRLOID); points != nil {
		changed, until, err := w.fetchDelta(ctx, points, base)
		if err != nil {
			return fetchedCRL{}, 0, fmt.Errorf("what has changed since: %w", err)
		}
		fetched.delta, valid = changed, earliest(valid, until)
	}
	return fetched, min(crlLifetime, time.Until(valid)), nil
}

// fetchDelta fetches what has changed since a CRL was made, from the first
// address that has it. RFC 5280, section 5.2.6.
func (w wantedCRL) fetchDelta(ctx context.Context, points []byte, base *x509.RevocationList) ([]byte, time.Time, error) {
	places, err := parseDistributionPoints(points)
	if err != nil {
		return nil, time.Time{}, err
	}
	var urls []string
	for _, place := range places {
		urls = append(urls, slices.DeleteFunc(place.urls, notHTTP)...)
	}
	err = errors.New("no address of it is one of plain HTTP")
	for _, at := range urls[:min(len(urls), maxDeltas)] {
		var (
			body  []byte
			until time.Time
		)
		if body, until, err = w.fetchDeltaFrom(ctx, at, base); err == nil {
			return body, until, nil
		}
	}
	return nil, time.Time{}, err
}

func (w wantedCRL) fetchDeltaFrom(ctx context.Context, at string, base *x509.RevocationList) ([]byte, time.Time, error) {
	body, done, err := w.download(ctx, at)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer done()
	list, err := w.verify(body)
	if err != nil {
		return nil, time.Time{}, err
	}
	return body, list.NextUpdate, checkDelta(base, list)
}

// notHTTP tells whether something is not at an address of plain HTTP, which is
// how CRLs are fetched.
func notHTTP(at string) bool {
	u, err := url.Parse(at)
	return err != nil || u.Scheme != "http"
}

// download fetches a CRL. Its bytes are paid for until done.
func (w wantedCRL) download(ctx context.Context, at string) (body []byte, done func(), err error) {
	if notHTTP(at) {
		return nil, nil, errors.New("it is not an address of plain HTTP")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	done = func() { _ = resp.Body.Close() }
	if resp.StatusCode != http.StatusOK {
		done()
		return nil, nil, fmt.Errorf("it answers %s", resp.Status)
	}
	var read bytes.Buffer
	read.Grow(int(max(resp.ContentLength, 0)) + bytes.MinRead)
	if _, err := read.ReadFrom(resp.Body); err != nil {
		done()
		return nil, nil, err
	}
	return read.Bytes(), done, nil
}

// verify makes sure that the certificate's issuer has made a CRL, and that it is
// valid. RFC 5280, section 6.3.3 (f) and (g).
func (w wantedCRL) verify(body []byte) (*x509.RevocationList, error) {
	list, err := condense(body, nil)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(list.RawIssuer, w.issuer.RawSubject) {
		return nil, errors.New("the CRL is by another issuer")
	}
	if err := list.CheckSignatureFrom(w.issuer); err != nil {
		return nil, fmt.Errorf("the CRL is not signed by the issuer: %w", err)
	}
	if list.NextUpdate.IsZero() {
		return nil, errors.New("the CRL does not say until when it is valid")
	}
	if !time.Now().Before(list.NextUpdate) {
		return nil, fmt.Errorf("the CRL was valid until %s", list.NextUpdate.UTC().Format(time.RFC3339))
	}
	return list, nil
}

// checkBase makes sure that a CRL says everything about the certificate: one that
// says only what has changed does not. RFC 5280, sections 5.2.4 and 5.2.5.
func (w wantedCRL) checkBase(list *x509.RevocationList) error {
	if extension(list.Extensions, deltaIndicatorOID) != nil {
		return errors.New("the CRL says only what has changed since another")
	}
	if scope := extension(list.Extensions, issuingDistributionPointOID); scope != nil {
		return checkScope(scope, w.url, w.certificate.IsCA)
	}
	return nil
}

// checkDelta makes sure that a CRL says what has changed since another. RFC 5280,
// sections 5.2.4 and 6.3.3 (c).
func checkDelta(base, delta *x509.RevocationList) error {
	since := new(big.Int)
	indicator := cryptobyte.String(extension(delta.Extensions, deltaIndicatorOID))
	if !indicator.ReadASN1Integer(since) {
		return errors.New("the CRL is no delta")
	}
	if !bytes.Equal(extension(base.Extensions, issuingDistributionPointOID), extension(delta.Extensions, issuingDistributionPointOID)) {
		return errors.New("the delta CRL is about other certificates")
	}
	if base.Number == nil || delta.Number == nil || since.Cmp(base.Number) > 0 || delta.Number.Cmp(base.Number) <= 0 {
		return errors.New("the delta CRL belongs to another CRL")
	}
	return nil
}

// reachable is a chain whose distribution points are those of which CRLs can be
// fetched, as far as that loses nothing: those of the Active Directory
// Certificate Services name a directory too, and the library needs all that it
// finds. A distribution point is as good as another, unless it is for some
// reasons of a revocation only. RFC 5280, section 4.2.1.13.
func reachable(chain []*x509.Certificate) []*x509.Certificate {
	chain = slices.Clone(chain)
	for i, c := range chain {
		points, err := parseDistributionPoints(extension(c.Extensions, distributionPointsOID))
		if err != nil || slices.ContainsFunc(points, func(p distributionPoint) bool { return p.partial }) {
			continue
		}
		if urls := slices.DeleteFunc(slices.Clone(c.CRLDistributionPoints), notHTTP); len(urls) > 0 {
			same := *c
			same.CRLDistributionPoints = urls
			chain[i] = &same
		}
	}
	return chain
}
