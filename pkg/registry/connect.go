package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

const (
	maxHeaderBytes = 64 << 10
	// Anybody can name any number of hosts, each of which may keep its
	// connections open.
	maxIdleOrdinary = 256
	maxIdleSpecial  = 64
)

// newGuard makes the connections' settings: hosts that are configured so have
// their own, so that no other host can profit.
func newGuard(h *hosts, o Options) (*guard, error) {
	config, err := newTLSConfig(o.CAs)
	if err != nil {
		return nil, err
	}
	g := &guard{
		hosts:     h,
		special:   map[string]*http.Transport{},
		ordinary:  newHTTPTransport(config, dialer{}, maxIdleOrdinary),
		userAgent: o.UserAgent,
		proxy:     o.Proxy,

		instruments: o.Instruments,
	}
	for host, s := range h.security {
		if s == (security{}) {
			continue
		}
		config, err := newTLSConfig(o.CAs, []byte(s.cas))
		if err != nil {
			return nil, err
		}
		config.InsecureSkipVerify = s.insecure
		g.special[host] = newHTTPTransport(config, dialer{local: s.insecure}, maxIdleSpecial)
	}
	return g, nil
}

// newTLSConfig trusts these certificates besides the system's.
func newTLSConfig(bundles ...[]byte) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	for _, pem := range bundles {
		if len(pem) == 0 {
			continue
		}
		if config.RootCAs == nil {
			roots, err := x509.SystemCertPool()
			if err != nil {
				return nil, fmt.Errorf("the system's certification authorities: %w", err)
			}
			config.RootCAs = roots
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("cert: holds no certificate in PEM form")
		}
	}
	return config, nil
}

func newHTTPTransport(config *tls.Config, d dialer, maxIdle int) *http.Transport {
	return &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return proxyOf(r.Context()), nil },
		DialContext:            d.dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  15 * time.Second,
		MaxResponseHeaderBytes: maxHeaderBytes,
		MaxConnsPerHost:        64,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
	}
}

// dialer connects to what checkAddress lets pass; local is for hosts that are
// configured insecure.
type dialer struct{ local bool }

func (d dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	local := d.local || proxyOf(ctx) != nil
	checked := net.Dialer{
		Timeout:   5 * time.Second,
		KeepAlive: 30 * time.Second,
		// Control sees the address after the name was resolved, so that no
		// second resolution can give another one.
		Control: func(_, address string, _ syscall.RawConn) error {
			ip, err := netip.ParseAddrPort(address)
			if err != nil {
				return &refusal{"its address cannot be checked"}
			}
			return checkAddress(ip.Addr(), local)
		},
	}
	return checked.DialContext(ctx, network, address)
}
