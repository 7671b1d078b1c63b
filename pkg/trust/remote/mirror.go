package remote

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/fetcher"

	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

const (
	// maxFetched bounds all that one refresh reads, in bytes.
	maxFetched = 8 << 20
	// maxRedirects bounds how often a mirror may send us elsewhere.
	maxRedirects = 3
	// headerTimeout bounds the wait for a mirror to begin its answer.
	headerTimeout = 10 * time.Second
)

// mirror reads the files of a TUF repository, for one refresh.
type mirror struct {
	ctx    context.Context // the updater hands none on
	client *http.Client
	plain  bool // the mirror is on this machine, without TLS
	left   int64
}

var _ fetcher.Fetcher = (*mirror)(nil)

func newMirror(ctx context.Context, address string) *mirror {
	m := &mirror{ctx: ctx, left: maxFetched}
	if u, err := url.Parse(address); err == nil {
		m.plain = u.Scheme == "http"
	}
	dialer := &net.Dialer{Timeout: headerTimeout, Control: refuseLinkLocal}
	m.client = &http.Client{
		CheckRedirect: m.redirect,
		Transport: &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           dialer.DialContext,
			TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:   headerTimeout,
			ResponseHeaderTimeout: headerTimeout,
			ForceAttemptHTTP2:     true,
		},
	}
	return m
}

// refuseLinkLocal keeps a mirror from sending us to a metadata service.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	if to, err := netip.ParseAddrPort(address); err == nil && to.Addr().Unmap().IsLinkLocalUnicast() {
		return fmt.Errorf("%s is a link-local address, where no TUF repository can be", to.Addr())
	}
	return nil
}

func (m *mirror) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("it redirects more than %d times", maxRedirects)
	}
	if req.URL.Scheme == "https" || m.plain && req.URL.Scheme == "http" && trust.Loopback(req.URL.Hostname()) {
		return nil
	}
	return errors.New("it redirects to an address without TLS")
}

// DownloadFile reads a file of at most maxLength bytes. The timeout is not used
// by go-tuf.
func (m *mirror) DownloadFile(address string, maxLength int64, _ time.Duration) ([]byte, error) {
	req, err := http.NewRequestWithContext(m.ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "connaisseur")
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, &metadata.ErrDownloadHTTP{StatusCode: resp.StatusCode, URL: address}
	}
	limit := min(maxLength, m.left)
	text, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, err
	}
	if m.left -= int64(len(text)); int64(len(text)) > limit {
		return nil, &metadata.ErrDownloadLengthMismatch{Msg: fmt.Sprintf("%s has more than %d bytes", address, limit)}
	}
	return text, nil
}

func (m *mirror) close() { m.client.CloseIdleConnections() }
