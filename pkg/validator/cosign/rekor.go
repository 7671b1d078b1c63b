package cosign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

const (
	// lookupTimeout bounds a look-up beyond what the context says.
	lookupTimeout = 10 * time.Second
	// maxLookupBytes bounds what a log answers.
	maxLookupBytes = 1 << 20
)

// lookup finds the entries of signatures that come without one.
type lookup struct {
	client *client.Rekor
	host   string
}

// newLookup makes a look-up in the log at the URL, which has been checked.
func newLookup(at string) *lookup {
	u, err := url.Parse(at)
	if err != nil {
		u = &url.URL{Scheme: "https", Host: "invalid"} // the configuration has refused it
	}
	transport := httptransport.NewWithClient(u.Host, u.Path, []string{u.Scheme}, &http.Client{
		Transport: bounded{http.DefaultTransport},
		Timeout:   lookupTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("the transparency log redirects, which is not followed")
		},
	})
	return &lookup{client: client.New(transport, strfmt.Default), host: u.Host}
}

// bounded cuts answers that are too long.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxLookupBytes), resp.Body}
	return resp, nil
}

// find adds the entries of a candidate that has none. That there are none is
// for the verification to say.
func (l *lookup) find(ctx context.Context, s *signer, c *candidate) *validator.Error {
	public, err := s.publicPEM(c)
	if err != nil {
		return validator.Errorf(validator.Internal, "the public key cannot be sent to the transparency log: %w", err)
	}
	content, signature := c.artifact, base64Of(c.content.Signature())
	if content == nil {
		signature = "" // this is how the library knows an envelope
		if content, err = json.Marshal(c.content.EnvelopeContent().RawEnvelope()); err != nil {
			return validator.Errorf(validator.Internal, "the envelope cannot be sent to the transparency log: %w", err)
		}
	}
	found, err := cosign.FindTlogEntry(ctx, l.client, signature, content, public)
	if ctx.Err() != nil {
		return validator.AsError(ctx.Err())
	}
	switch {
	case err != nil && errors.Unwrap(err) != nil: // what went wrong with asking
		return validator.Errorf(validator.TrustDataUnavailable, "the transparency log %s cannot be asked: %s", l.host, validator.Quote(err.Error()))
	case err != nil:
		return nil //nolint:nilerr // it knows no such entry, which the verification will say
	}
	for _, e := range found {
		if entry, err := onlineEntry(e); err == nil {
			c.entries = append(c.entries, entry)
		}
	}
	return nil
}

// onlineEntry is an entry as the log's API gives it.
func onlineEntry(e models.LogEntryAnon) (*tlog.Entry, error) {
	text, ok := e.Body.(string)
	if !ok || e.LogID == nil || e.LogIndex == nil || e.IntegratedTime == nil || e.Verification == nil {
		return nil, errors.New("an entry is incomplete")
	}
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	return newLogEntry(body, *e.LogID, &protorekor.TransparencyLogEntry{
		LogIndex:         *e.LogIndex,
		IntegratedTime:   *e.IntegratedTime,
		InclusionPromise: &protorekor.InclusionPromise{SignedEntryTimestamp: e.Verification.SignedEntryTimestamp},
	})
}

// publicPEM is what an entry names the signer by.
func (s *signer) publicPEM(c *candidate) ([]byte, error) {
	if s.key != nil {
		return cryptoutils.MarshalPublicKeyToPEM(s.key.Public)
	}
	return cryptoutils.MarshalCertificateToPEM(c.leaf.Certificate())
}
