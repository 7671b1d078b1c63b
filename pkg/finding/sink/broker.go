package sink

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/url"
)

// client is what brokers know a connection by.
const client = "connaisseur"

// security are the settings of connections to brokers.
type security struct {
	Cert       string `config:"cert"`
	ClientCert string `config:"clientCert"`
	ClientKey  string `config:"clientKey"`
	Insecure   bool   `config:"insecure"`
}

// secure is the scheme of URLs that stands for TLS, by the one that does not.
var secure = map[string]string{"nats": "tls", "kafka": "kafka+tls"}

// encryption is how a connection is encrypted; nil if it is not.
func (s security) encryption(target *url.URL, r *reader) *tls.Config {
	if scheme := secure[target.Scheme]; scheme != "" {
		for _, setting := range [][2]string{{"cert", s.Cert}, {"clientCert", s.ClientCert}, {"clientKey", s.ClientKey}} {
			if setting[1] != "" {
				r.add(setting[0], "is of no use without TLS; use %s://", scheme)
			}
		}
		return nil
	}
	config := &tls.Config{RootCAs: r.authorities("cert", s.Cert), MinVersion: tls.VersionTLS12}
	switch {
	case s.ClientCert == "" && s.ClientKey == "":
	case s.ClientCert == "":
		r.add("clientCert", "is missing; clientKey is its key")
	case s.ClientKey == "":
		r.add("clientKey", "is missing; it must be the key of clientCert")
	default:
		certificates, key := r.certificates("clientCert", s.ClientCert), r.secret("clientKey", s.ClientKey)
		if certificates == nil || key == "" {
			break // which is said already
		}
		pair, err := tls.X509KeyPair(certificates, []byte(key))
		if err != nil {
			r.add("clientCert", "does not go with clientKey: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// protect refuses to prove who we are where whoever is on the way can listen.
func (s security) protect(target *url.URL, r *reader, key string) {
	if scheme := secure[target.Scheme]; scheme != "" && !s.Insecure {
		r.add(key, "would be used on a connection that is not encrypted; use %s:// or set insecure: true", scheme)
	}
}

// within calls a function of a library that knows no context. If ctx ends first,
// within returns, and late, unless it is nil, is called with what there is in the end.
func within[T any](ctx context.Context, call func() (T, error), late func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("panic: %v", p)
			}
			done <- r
		}()
		r.value, r.err = call()
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil && late != nil {
				late(r.value)
			}
		}()
		var none T
		return none, context.Cause(ctx)
	}
}
