// Package redistest runs a real Redis with TLS and a password, for tests.
package redistest

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take for anything.
const patience = 20 * time.Second

// Password is that of the default user.
const Password = "a password of Redis"

// Key authenticates entries.
const Key = "0123456789abcdef0123456789abcdef"

// Available tells whether there is a Redis to run.
func Available() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil
}

// Server is a Redis, a process of its own.
type Server struct {
	// Address is where it listens, with TLS only.
	Address string
	// CA is the certificate of the authority that it has its own from, as PEM.
	CA []byte

	dir     string
	options []string
	command *exec.Cmd
	stdin   io.Closer
}

// Start starts a Redis with more options, as on its command line. It ends with the
// test, however that ends.
func Start(tb testing.TB, options ...string) *Server {
	tb.Helper()
	if !Available() {
		tb.Fatal("there is no redis-server: install Debian's package redis-server, or Redis or Valkey by any other way")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{Address: listener.Addr().String(), dir: tb.TempDir(), options: options}
	_ = listener.Close()
	s.CA = certify(tb, s.dir)
	s.Run(tb)
	tb.Cleanup(s.Kill)
	return s
}

// Run starts the server again, and waits until it answers.
func (s *Server) Run(tb testing.TB) {
	tb.Helper()
	_, port, _ := net.SplitHostPort(s.Address)
	args := append([]string{"-c", lifeline, "redis", "redis-server", "--port", "0", "--tls-port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "",
		"--tls-cert-file", "server.crt", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.crt", "--tls-auth-clients", "no",
		"--requirepass", Password}, s.options...)
	s.command = exec.Command("sh", args...)
	s.command.Dir = s.dir
	said := &bytes.Buffer{}
	s.command.Stdout, s.command.Stderr = said, said
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var err error
	if s.stdin, err = s.command.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		tb.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		got, err := s.do("PING")
		if err == nil && got == "PONG" {
			return
		}
		if time.Now().After(end) {
			s.Kill()
			tb.Fatalf("Redis does not answer: %q, %v; it said:\n%s", got, err, said)
		}
	}
}

// lifeline runs the server until its own standard input ends, so that it does not
// outlive the test. It ends at once, as servers do that crash.
const lifeline = `"$@" & cat >/dev/null; kill -9 $!; wait`

// Kill ends the server as a crash would, and waits for that.
func (s *Server) Kill() {
	if s.stdin != nil {
		s.Resume()
		_ = s.stdin.Close()
		_ = s.command.Wait() // it was told to end
		s.stdin = nil
	}
}

// Hang has the server accept, and never answer, until Resume.
func (s *Server) Hang() { _ = syscall.Kill(-s.command.Process.Pid, syscall.SIGSTOP) }

// Resume ends Hang.
func (s *Server) Resume() { _ = syscall.Kill(-s.command.Process.Pid, syscall.SIGCONT) }

// URL is for cache.shared.url.
func (s *Server) URL() string { return "rediss://" + s.Address }

// Secret has the entries of a Secret for the server.
func (s *Server) Secret() map[string][]byte {
	return maps.Clone(map[string][]byte{"password": []byte(Password + "\n"), "ca.crt": s.CA, "key": []byte(Key)})
}

// Certificate is one of the server's authority, and its key, as PEM: for clients too.
func (s *Server) Certificate(tb testing.TB) (certificate, key []byte) {
	tb.Helper()
	certificate, err := os.ReadFile(filepath.Join(s.dir, "server.crt"))
	if err == nil {
		key, err = os.ReadFile(filepath.Join(s.dir, "server.key"))
	}
	if err != nil {
		tb.Fatal(err)
	}
	return certificate, key
}

// Do has the server execute a command. The answer is its text; that of a list has
// an item a line.
func (s *Server) Do(tb testing.TB, args ...string) string {
	tb.Helper()
	got, err := s.do(args...)
	if err != nil {
		tb.Fatalf("%s: %v", args[0], err)
	}
	return got
}

func (s *Server) do(args ...string) (string, error) {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.CA)
	own, err := tls.LoadX509KeyPair(filepath.Join(s.dir, "server.crt"), filepath.Join(s.dir, "server.key"))
	if err != nil {
		return "", err
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{own}}}
	conn, err := dialer.Dial("tcp", s.Address)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	for _, command := range [][]string{{"AUTH", Password}, args} {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(command))
		for _, arg := range command {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
		}
		if _, err = io.WriteString(conn, b.String()); err != nil {
			return "", err
		}
		if command[0] == "AUTH" {
			_, err = answer(r)
		}
		if err != nil {
			return "", err
		}
	}
	return answer(r)
}

func answer(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimSpace(line[1:])
	n, _ := strconv.Atoi(rest)
	switch kind {
	case '-':
		return "", fmt.Errorf("redis answers: %s", rest)
	case '$':
		if n < 0 {
			return "", nil
		}
		text := make([]byte, n+2)
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	case '*':
		var items []string
		for range n {
			item, err := answer(r)
			if err != nil {
				return "", err
			}
			items = append(items, item)
		}
		return strings.Join(items, "\n"), nil
	}
	return rest, nil
}

// Entries are the names of what is stored.
func (s *Server) Entries(tb testing.TB) []string {
	tb.Helper()
	return strings.Fields(s.Do(tb, "KEYS", "connaisseur:*"))
}

// certify makes an authority and a certificate for 127.0.0.1 in a folder.
func certify(tb testing.TB, dir string) []byte {
	tb.Helper()
	ca, caKey := certificate(tb, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	leaf, key := certificate(tb, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature}, ca, caKey)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	for name, text := range map[string][]byte{
		"ca.crt":     authority,
		"server.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}),
		"server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return authority
}

func certificate(tb testing.TB, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: fmt.Sprint("redis ", template.IsCA)}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		tb.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return made, key
}
