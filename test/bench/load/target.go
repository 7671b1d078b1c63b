package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/sse-secure-systems/connaisseur/test/bench/review"
)

// target is where to post to.
type target struct {
	address string // an address on loopback
	host    string
	path    string
	tls     *tls.Config
}

// newTarget refuses everything that is not on this machine.
func newTarget(text, ca string) (*target, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" || u.Port() == "" {
		return nil, fmt.Errorf("%q is not of the form https://127.0.0.1:PORT/PATH", text)
	}
	ips, err := net.LookupIP(u.Hostname())
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		if !ip.IsLoopback() {
			return nil, fmt.Errorf("%s is not an address on loopback: load is for this machine only", ip)
		}
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	return &target{
		address: net.JoinHostPort(ips[0].String(), u.Port()),
		host:    u.Host,
		path:    u.RequestURI(),
		tls:     &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12},
	}, nil
}

// connection is one that is kept. It writes its requests by itself, since what
// net/http's client takes would be taken from the webhook beside it.
type connection struct {
	conn    *tls.Conn
	in      *bufio.Reader
	request []byte
	uid     []byte // within request
	buffer  bytes.Buffer
	count   uint64
}

func (t *target) dial(ctx context.Context, body []byte, serial int) (*connection, error) {
	raw, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, err
	}
	c := &connection{conn: tls.Client(raw, t.tls)}
	if err := c.conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	c.in = bufio.NewReaderSize(c.conn, 8<<10)
	c.request = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: kube-apiserver-admission\r\nContent-Type: application/json\r\nAccept: application/json, */*\r\nContent-Length: %d\r\n\r\n%s",
		t.path, t.host, len(body), body)
	at := bytes.Index(c.request, []byte(review.UID))
	if at < 0 {
		return nil, errors.New("the review has no UID")
	}
	c.uid = c.request[at : at+len(review.UID)]
	copy(c.uid, fmt.Sprintf("%08x", serial))
	return c, nil
}

var allowed = []byte(`"allowed":true`)

// post sends the review with a UID of its own and looks at the answer.
func (c *connection) post() error {
	c.count++
	for i, n := len(c.uid)-1, c.count; i >= len(c.uid)-12; i, n = i-1, n>>4 {
		c.uid[i] = "0123456789abcdef"[n&15]
	}
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	c.buffer.Reset()
	if _, err := c.buffer.ReadFrom(io.LimitReader(resp.Body, 1<<20)); err != nil {
		return err
	}
	answer := c.buffer.Bytes()
	if resp.StatusCode != http.StatusOK || !bytes.Contains(answer, allowed) || !bytes.Contains(answer, c.uid) {
		return &unexpected{fmt.Sprintf("%s: %.300s", resp.Status, answer)}
	}
	return nil
}

// unexpected is an answer other than the review's admission.
type unexpected struct{ answer string }

func (u *unexpected) Error() string { return "unexpected answer " + u.answer }
