//go:build integration

package sink_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cenats "github.com/cloudevents/sdk-go/protocol/nats_jetstream/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// natsServer is a real server with JetStream, a process of its own.
type natsServer struct {
	address string
	dir     string
	stdin   io.Closer
	command *exec.Cmd
	options []nats.Option // of whoever may do everything
}

// startNATS starts a server with more configuration.
func startNATS(t *testing.T, configuration string, options ...nats.Option) *natsServer {
	t.Helper()
	s := &natsServer{address: dead(t), dir: t.TempDir(), options: options}
	configuration = fmt.Sprintf("listen: %q\njetstream: {store_dir: %q}\n%s", s.address, filepath.Join(s.dir, "streams"), configuration)
	if err := os.WriteFile(filepath.Join(s.dir, "nats.conf"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(s.stop) // the one that was started last
	return s
}

func (s *natsServer) start(t *testing.T) {
	t.Helper()
	tool := exec.Command("../../../hack/tools.sh", "nats-server")
	tool.Stderr = os.Stderr // says what is being built
	path, err := tool.Output()
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(s.dir, "nats.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = output.Close() }()
	s.command = exec.Command("sh", "-c", lifeline, "nats", strings.TrimSpace(string(path)), "--config", "nats.conf")
	s.command.Dir, s.command.Stdout, s.command.Stderr = s.dir, output, output
	if s.stdin, err = s.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	for ctx := soon(t); ; {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(output.Name())
			t.Fatalf("the server does not answer: %v; it said:\n%s", err, said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// lifeline runs the server until its own standard input ends, so that it does not
// outlive the test, however that ends. It ends at once, as servers do that crash.
const lifeline = `"$@" & cat >/dev/null; kill -9 $!; wait`

// stop ends the server, and waits for that.
func (s *natsServer) stop() {
	if s.command.Process != nil {
		_ = s.stdin.Close()
		_ = s.command.Wait() // it was told to end
	}
}

// jetStream is what administrates the server.
func (s *natsServer) jetStream(t *testing.T) jetstream.JetStream {
	t.Helper()
	conn, err := nats.Connect("nats://"+s.address, s.options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	stream, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// stream makes one that takes everything below a subject.
func (s *natsServer) stream(t *testing.T, subject string) jetstream.Stream {
	t.Helper()
	stream, err := s.jetStream(t).CreateStream(soon(t), jetstream.StreamConfig{Name: "findings", Subjects: []string{subject}, MaxMsgSize: 4000})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// stored are the messages of a stream.
func stored(t *testing.T, stream jetstream.Stream) (messages []*nats.Msg) {
	t.Helper()
	info, err := stream.Info(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := range info.State.Msgs {
		raw, err := stream.GetMsg(soon(t), info.State.FirstSeq+i)
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, &nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data})
	}
	return messages
}

// ids are those of the events that a stream has.
func ids(t *testing.T, stream jetstream.Stream) (found []string) {
	t.Helper()
	for _, m := range stored(t, stream) {
		found = append(found, m.Header.Get("ce-id"))
	}
	return found
}

func TestNATSGetsEventsInTheBinaryMode(t *testing.T) {
	t.Parallel()
	server := startNATS(t, "")
	for subject, s := range map[string]settings{
		"connaisseur.findings":   {},
		"team.prod.connaisseur1": {"subject": "team.prod.connaisseur1"},
	} {
		s["url"] = "nats://" + server.address
		stream, err := server.jetStream(t).CreateStream(soon(t), jetstream.StreamConfig{Name: strings.ReplaceAll(subject, ".", "-"), Subjects: []string{subject}})
		if err != nil {
			t.Fatal(err)
		}
		sent := event(t, "id", "/apis/apps/v1/namespaces/prod/deployments/web")
		send(t, open(t, s, nil), sent)
		messages := stored(t, stream)
		if len(messages) != 1 || messages[0].Subject != subject {
			t.Fatalf("there are %v", messages)
		}
		m := messages[0]
		if m.Header.Get("content-type") != "application/json" || m.Header.Get("ce-outcome") != "denied" || !bytes.Equal(m.Data, sent.Data()) {
			t.Errorf("header %v, data %s", m.Header, m.Data)
		}
		read := cenats.NewMessage(m)
		if read.ReadEncoding() != binding.EncodingBinary {
			t.Errorf("the mode is %v", read.ReadEncoding())
		}
		got, err := binding.ToEvent(t.Context(), read)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent.String(), got.String()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestNATSTakesAnEventOnce(t *testing.T) {
	t.Parallel()
	server := startNATS(t, "")
	stream := server.stream(t, "connaisseur.>")
	url := settings{"url": "nats://" + server.address}
	elsewhere := event(t, "a", "web")
	elsewhere.SetSource("/clusters/other/namespaces/connaisseur/services/connaisseur-webhook")
	s := open(t, url, nil)
	send(t, s, event(t, "a", "web"))
	send(t, s, event(t, "a", "web"), event(t, "b", "web"))
	send(t, open(t, url, nil), event(t, "b", "web"), elsewhere) // another replica, another cluster
	if diff := cmp.Diff([]string{"a", "b", "a"}, ids(t, stream)); diff != "" {
		t.Error(diff)
	}
}

func TestNATSWithoutAStream(t *testing.T) {
	t.Parallel()
	server := startNATS(t, "")
	s := open(t, settings{"url": "nats://" + server.address}, nil)
	says(t, s.Send(soon(t), []cloudevents.Event{event(t, "id", "web")}), false, `no stream takes the subject "connaisseur.findings"`)
	stream := server.stream(t, "connaisseur.findings")
	send(t, s, event(t, "id", "web"))
	if diff := cmp.Diff([]string{"id"}, ids(t, stream)); diff != "" {
		t.Error(diff)
	}
}

func TestNATSComesBack(t *testing.T) {
	t.Parallel()
	server := startNATS(t, "")
	server.stream(t, "connaisseur.findings")
	s := open(t, settings{"url": "nats://" + dead(t) + "," + server.address}, nil)
	send(t, s, event(t, "before", "web"))
	server.stop()
	// The first may find out that the connection ended; the second cannot connect.
	if err := s.Send(soon(t), []cloudevents.Event{event(t, "after", "web")}); err == nil {
		t.Error("no error")
	}
	begin := time.Now()
	says(t, s.Send(soon(t), []cloudevents.Event{event(t, "after", "web")}), false, "cannot connect")
	if took := time.Since(begin); took > attempt/2 {
		t.Errorf("it took %v", took)
	}
	server.start(t)
	send(t, s, event(t, "after", "web"))
	stream, err := server.jetStream(t).Stream(soon(t), "findings")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"before", "after"}, ids(t, stream)); diff != "" {
		t.Error(diff)
	}
}

// The server takes what is published, but the stream does not say so.
func TestNATSHangs(t *testing.T) {
	t.Parallel()
	server := startNATS(t, "")
	conn := server.jetStream(t).Conn()
	received, err := conn.SubscribeSync("connaisseur.findings")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	s := open(t, settings{"url": "nats://" + server.address}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = received.NextMsg(attempt)
		cancel()
	}()
	says(t, s.Send(ctx, []cloudevents.Event{event(t, "id", "web")}), false, context.Canceled.Error())
}

func TestNATSDoesNotTakeWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	server := startNATS(t, "max_payload: 10000")
	server.stream(t, "connaisseur.findings")
	s := open(t, settings{"url": "nats://" + server.address}, nil)
	for size, words := range map[int]string{20000: "maximum payload exceeded", 5000: "message size exceeds maximum allowed"} {
		large := event(t, "large", "web")
		if err := large.SetData("text/plain", bytes.Repeat([]byte("x"), size)); err != nil {
			t.Fatal(err)
		}
		says(t, s.Send(soon(t), []cloudevents.Event{large}), true, words)
	}
}

// A server that lets one connect, but not publish, answers in no way to what is
// published.
func TestNATSDoesNotLetPublish(t *testing.T) {
	t.Parallel()
	server := startNATS(t, `authorization: {users: [{user: webhook, password: right, permissions: {publish: "other"}}]}`)
	s := open(t, settings{"url": "nats://" + server.address, "username": "webhook", "password": "k8s://connaisseur/nats/password", "insecure": true}, objects{"k8s://connaisseur/nats/password": "right"})
	begin := time.Now()
	says(t, s.Send(soon(t), []cloudevents.Event{event(t, "id", "web")}), false, `Permissions Violation for Publish to "connaisseur.findings"`)
	if took := time.Since(begin); took > attempt/2 {
		t.Errorf("it took %v", took)
	}
}

func TestNATSSaysWhoSends(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	certificate, key := ca.issue(t, "client")
	user, stranger := newUser(t), newUser(t)
	operator, mine, strangers := newOperator(t)
	o := objects{
		"k8s://connaisseur/nats/user": "webhook\n", "k8s://connaisseur/nats/password": "p&ss-w:rd\n", "k8s://connaisseur/nats/token": "t0ken\n",
		"k8s://connaisseur/nats/nkey": user.seed + "\n", "k8s://connaisseur/nats/creds": mine,
		"k8s://connaisseur/nats/wrong-password": "wr0ng", "k8s://connaisseur/nats/wrong-token": "wr0ng", "k8s://connaisseur/nats/wrong-nkey": stranger.seed, "k8s://connaisseur/nats/wrong-creds": strangers,
		"configmap://nats-ca/ca.crt": ca.PEM, "k8s://connaisseur/nats/tls.crt": certificate, "k8s://connaisseur/nats/tls.key": key,
	}
	certificates := t.TempDir()
	served, servedKey := ca.issue(t, "server")
	for name, text := range map[string]string{"ca.crt": ca.PEM, "tls.crt": served, "tls.key": servedKey, "user.creds": mine} {
		if err := os.WriteFile(filepath.Join(certificates, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		configuration string
		settings      settings
		wrong         string // the key whose value makes it fail with wrong- before its name
		admin         nats.Option
	}{
		"password":    {`authorization: {user: webhook, password: "p&ss-w:rd"}`, settings{"username": "k8s://connaisseur/nats/user", "password": "k8s://connaisseur/nats/password"}, "password", nats.UserInfo("webhook", "p&ss-w:rd")},
		"name":        {`authorization: {user: webhook, password: "p&ss-w:rd"}`, settings{"username": "webhook", "password": "k8s://connaisseur/nats/password"}, "password", nats.UserInfo("webhook", "p&ss-w:rd")},
		"token":       {`authorization: {token: "t0ken"}`, settings{"token": "k8s://connaisseur/nats/token"}, "token", nats.Token("t0ken")},
		"nkey":        {fmt.Sprintf(`authorization: {users: [{nkey: %s}]}`, user.public), settings{"nkey": "k8s://connaisseur/nats/nkey"}, "nkey", nats.Nkey(user.public, user.pair.Sign)},
		"credentials": {operator, settings{"credentials": "k8s://connaisseur/nats/creds"}, "credentials", nats.UserCredentials(filepath.Join(certificates, "user.creds"))},
	} {
		for _, encrypted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s,%t", name, encrypted), func(t *testing.T) {
				t.Parallel()
				s, scheme := settings{}, "nats"
				for k, v := range test.settings {
					s[k] = v
				}
				configuration, options := test.configuration, []nats.Option{test.admin}
				if encrypted {
					scheme = "tls"
					s["cert"], s["clientCert"], s["clientKey"] = "configmap://nats-ca/ca.crt", "k8s://connaisseur/nats/tls.crt", "k8s://connaisseur/nats/tls.key"
					at := func(name string) string { return filepath.Join(certificates, name) }
					configuration += fmt.Sprintf("\ntls: {cert_file: %q, key_file: %q, ca_file: %q, verify: true}", at("tls.crt"), at("tls.key"), at("ca.crt"))
					options = append(options, nats.RootCAs(at("ca.crt")), nats.ClientCert(at("tls.crt"), at("tls.key")))
				} else {
					s["insecure"] = true
				}
				server := startNATS(t, configuration, options...)
				stream := server.stream(t, "connaisseur.findings")
				s["url"] = scheme + "://" + server.address
				send(t, open(t, s, o), event(t, "id", "web"))
				if diff := cmp.Diff([]string{"id"}, ids(t, stream)); diff != "" {
					t.Error(diff)
				}

				s[test.wrong] = strings.Replace(fmt.Sprint(s[test.wrong]), "/nats/", "/nats/wrong-", 1)
				_, err := parse(t, s, o).Open(soon(t))
				says(t, err, false, "Authorization Violation")
				if strings.Contains(err.Error(), o[fmt.Sprint(s[test.wrong])]) {
					t.Error("the error has what is secret in it:", err)
				}
			})
		}
	}
}

func TestNATSAndStrangersCertificates(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	served, servedKey := ca.issue(t, "server")
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"ca.crt": ca.PEM, "tls.crt": served, "tls.key": servedKey} {
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, key := other.issue(t, "client")
	o := objects{"k8s://connaisseur/nats/ca.crt": ca.PEM, "k8s://connaisseur/nats/other": other.PEM, "k8s://connaisseur/nats/tls.crt": certificate, "k8s://connaisseur/nats/tls.key": key}
	server := startNATS(t, fmt.Sprintf("tls: {cert_file: %q, key_file: %q, ca_file: %q, verify: true}", at("tls.crt"), at("tls.key"), at("ca.crt")))
	_, err := parse(t, settings{"url": "tls://" + server.address, "cert": "k8s://connaisseur/nats/other"}, o).Open(soon(t))
	says(t, err, false, "certificate signed by unknown authority")
	_, err = parse(t, settings{"url": "tls://" + server.address, "cert": "k8s://connaisseur/nats/ca.crt"}, o).Open(soon(t))
	says(t, err, false, "tls") // or that the connection broke, where what the server says comes too late
	_, err = parse(t, settings{"url": "tls://" + server.address, "cert": "k8s://connaisseur/nats/ca.crt", "clientCert": "k8s://connaisseur/nats/tls.crt", "clientKey": "k8s://connaisseur/nats/tls.key"}, o).Open(soon(t))
	says(t, err, false, "tls")

	plain := startNATS(t, "")
	_, err = parse(t, settings{"url": "tls://" + plain.address}, nil).Open(soon(t))
	says(t, err, false, "secure connection not available")
}

// user is one who is known by a key.
type user struct {
	pair         nkeys.KeyPair
	public, seed string
}

func newUser(t *testing.T) user { t.Helper(); return newPair(t, nkeys.CreateUser) }

func newPair(t *testing.T, create func() (nkeys.KeyPair, error)) user {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return user{pair, public, string(seed)}
}

// newOperator gives the configuration of a server that an operator runs, with the
// .creds files of a user and of one whom another account would let in.
func newOperator(t *testing.T) (configuration, creds, strangers string) {
	t.Helper()
	operator, system, account, stranger := newPair(t, nkeys.CreateOperator), newPair(t, nkeys.CreateAccount), newPair(t, nkeys.CreateAccount), newPair(t, nkeys.CreateAccount)
	sign := func(claims jwt.Claims, by user) string {
		text, err := claims.Encode(by.pair)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	operatorClaims := jwt.NewOperatorClaims(operator.public)
	operatorClaims.SystemAccount = system.public
	accountClaims := jwt.NewAccountClaims(account.public)
	accountClaims.Limits.JetStreamLimits = jwt.JetStreamLimits{MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	configuration = fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {%s: %s, %s: %s}",
		sign(operatorClaims, operator), system.public, system.public, sign(jwt.NewAccountClaims(system.public), operator), account.public, sign(accountClaims, operator))
	file := func(by user) string {
		one := newUser(t)
		text, err := jwt.FormatUserConfig(sign(jwt.NewUserClaims(one.public), by), []byte(one.seed))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	return configuration, file(account), file(stranger)
}
