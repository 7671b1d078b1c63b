package remote

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"
	"google.golang.org/api/option"

	// The four that trust.Remote.Check lets through. kms.Get would run a program
	// for any other.
	_ "github.com/sigstore/sigstore/pkg/signature/kms/aws"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/azure"
	_ "github.com/sigstore/sigstore/pkg/signature/kms/hashivault"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

const (
	// kmsInterval is how often a key is looked at: a key of a KMS changes when
	// somebody rotates it or points an alias elsewhere.
	kmsInterval = time.Hour
	// maxAsking bounds the requests to KMS that run or have been given up:
	// Vault's client listens to no context and has no timeout of its own.
	maxAsking = maxEntries + 16
	// farewell is how long a request that was told to end may take to do so.
	farewell = time.Second
)

// keys fetches public keys from KMS.
type keys struct {
	asking chan struct{}
	google []option.ClientOption // for Google's KMS, besides the usual ones
}

func newKeys(google ...option.ClientOption) keys {
	return keys{asking: make(chan struct{}, maxAsking), google: google}
}

func (k keys) source() source {
	return source{fetch: k.fetch, valid: validKey, interval: kmsInterval}
}

// validKey refuses what could not verify anything, so that a KMS that gives it
// is one that cannot be reached rather than an error of the configuration.
func validKey(content []byte) error {
	_, err := trust.ParseKeys(content)
	return err
}

// fetch asks in a goroutine of its own, which is left behind if it does not end
// in time.
func (k keys) fetch(ctx context.Context, last trust.Fetched) (trust.Fetched, error) {
	select {
	case k.asking <- struct{}{}:
	default:
		return last, errors.New("too many earlier requests to a KMS have still not ended")
	}
	type answer struct {
		pem []byte
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		defer func() { <-k.asking }()
		var a answer
		a.pem, a.err = k.ask(ctx, last.Where.KMS)
		answers <- a
	}()
	var a answer
	select {
	case a = <-answers:
	case <-ctx.Done():
		select {
		case a = <-answers:
		case <-time.After(farewell):
			return last, ctx.Err()
		}
	}
	return trust.Fetched{Content: bytes.TrimSpace(a.pem)}, a.err
}

// ask asks the KMS's own client, whose panics are errors.
func (k keys) ask(ctx context.Context, uri string) (pem []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the KMS's client panicked: %v", p)
		}
	}()
	if err := (trust.Remote{KMS: uri}).Check(); err != nil {
		return nil, err
	}
	var opts []signature.RPCOption
	if isGoogle(uri) {
		connection, opt, err := k.dialGoogle(ctx)
		if err != nil {
			return nil, err
		}
		// The provider closes no connection and hands no context on; closing it
		// ends both.
		defer connection.Close()
		defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
		opts = append(opts, opt)
	}
	sv, err := kms.Get(ctx, uri, crypto.SHA256, opts...)
	if err != nil {
		return nil, err
	}
	public, err := sv.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	return cryptoutils.MarshalPublicKeyToPEM(public)
}
