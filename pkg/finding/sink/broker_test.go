package sink_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

func TestWhatIsWrongWithABroker(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	certificate, key := ca.issue(t, "client")
	_, another := ca.issue(t, "client")
	pair, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	account := string(seed)
	o := objects{
		"k8s://connaisseur/a/secret": "s3cret", "k8s://connaisseur/a/empty": " \n", "k8s://connaisseur/a/account": account,
		"k8s://connaisseur/a/tls.crt": certificate, "k8s://connaisseur/a/tls.key": key, "k8s://connaisseur/a/another.key": another,
	}
	const secret = "k8s://connaisseur/a/secret"
	for name, test := range map[string]struct {
		settings settings
		errors   []string
	}{
		"nats":          {settings{"url": "nats://nats.nats.svc:4222"}, nil},
		"several":       {settings{"url": "tls://a,b:4223,[::1]:4222/", "subject": "a.b-c.D_1"}, nil},
		"any case":      {settings{"url": "NATS://a:4222,b:4222"}, nil},
		"kafka":         {settings{"url": "kafka://a/findings"}, nil},
		"brokers":       {settings{"url": "kafka+tls://a:9094,b/my_topic-1.x"}, nil},
		"no encryption": {settings{"url": "kafka://a/t", "username": "me", "password": secret, "insecure": true}, nil},

		"scheme":            {settings{"url": "amqp://a"}, []string{"url: must be a URL that begins with http://, https://, kafka://, kafka+tls://, nats://, tls://"}},
		"no broker":         {settings{"url": "nats://"}, []string{"url: must be a URL"}},
		"a broker too many": {settings{"url": "kafka://a:9092,/t"}, []string{"url: must be a URL"}},
		"port":              {settings{"url": "kafka://a:x/t"}, []string{"url: must be a URL"}},
		"password in URL":   {settings{"url": "nats://a,me:s3cret@b"}, []string{"url: has a password in it"}},
		"list for HTTP":     {settings{"url": "http://a:80,b:80/"}, []string{"url: must be a URL"}},
		"path":              {settings{"url": "nats://a/b"}, []string{"url: must end with the server's port; what is sent goes to subject"}},
		"query":             {settings{"url": "nats://a?b"}, []string{"url: must end with the server's port"}},
		"topic":             {settings{"url": "kafka://a:9092"}, []string{"url: must end with the name of a topic: kafka://HOST:PORT/TOPIC"}},
		"topic's name":      {settings{"url": "kafka+tls://a/b/c"}, []string{"url: must end with the name of a topic: kafka+tls://"}},
		"topic and query":   {settings{"url": "kafka://a/b?c"}, []string{"url: must end with the name of a topic"}},

		"keys of NATS":   {settings{"url": "nats://a", "subjct": "x", "mode": "binary"}, []string{`mode: unknown key`, `subjct: unknown key; did you mean "subject"?`}},
		"keys of Kafka":  {settings{"url": "kafka://a/b", "usrname": "x"}, []string{`usrname: unknown key; did you mean "username"?`}},
		"kind":           {settings{"url": "kafka://a/b", "insecure": "yes"}, []string{"insecure: must be true or false, not a string"}},
		"wildcard":       {settings{"url": "nats://a", "subject": "a.*"}, []string{`subject: is "a.*", but must be words with dots between them`}},
		"empty word":     {settings{"url": "nats://a", "subject": "a..b"}, []string{`subject: is "a..b"`}},
		"reserved":       {settings{"url": "nats://a", "subject": "$JS.API.STREAM.DELETE.x"}, []string{`subject: is "$JS`}},
		"space":          {settings{"url": "nats://a", "subject": "a b"}, []string{`subject: is "a b"`}},
		"mechanism":      {settings{"url": "kafka+tls://a/b", "username": "me", "password": secret, "mechanism": "GSSAPI"}, []string{`mechanism: is "GSSAPI", but must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`}},
		"mechanism only": {settings{"url": "kafka+tls://a/b", "mechanism": "PLAIN"}, []string{"username: is missing"}},

		"in the clear, NATS":     {settings{"url": "nats://a", "token": secret}, []string{"token: would be used on a connection that is not encrypted; use tls:// or set insecure: true"}},
		"in the clear, Kafka":    {settings{"url": "kafka://a/b", "username": "me", "password": secret}, []string{"password: would be used on a connection that is not encrypted; use kafka+tls:// or set insecure: true"}},
		"no password":            {settings{"url": "tls://a", "username": "me"}, []string{"password: is missing"}},
		"no name":                {settings{"url": "tls://a", "password": secret}, []string{"username: is missing"}},
		"no password for Kafka":  {settings{"url": "kafka+tls://a/b", "username": "me"}, []string{"password: is missing"}},
		"no name for Kafka":      {settings{"url": "kafka+tls://a/b", "password": secret}, []string{"username: is missing"}},
		"two ways":               {settings{"url": "tls://a", "username": "me", "password": secret, "token": secret}, []string{"token: cannot be used besides username"}},
		"password":               {settings{"url": "tls://a", "username": "me", "password": "s3cret"}, []string{"password: must be k8s://NAMESPACE/SECRET/KEY"}},
		"password for Kafka":     {settings{"url": "kafka+tls://a/b", "username": "me", "password": "s3cret"}, []string{"password: must be k8s://NAMESPACE/SECRET/KEY"}},
		"empty":                  {settings{"url": "tls://a", "token": "k8s://connaisseur/a/empty"}, []string{"token: k8s://connaisseur/a/empty is empty"}},
		"no nkey":                {settings{"url": "tls://a", "nkey": secret}, []string{"nkey: is not the seed of a user's nkey, which begins with SU"}},
		"an account's nkey":      {settings{"url": "tls://a", "nkey": "k8s://connaisseur/a/account"}, []string{"nkey: is not the seed of a user's nkey"}},
		"no credentials":         {settings{"url": "tls://a", "credentials": secret}, []string{"credentials: is not the content of a .creds file"}},
		"certificate, no TLS":    {settings{"url": "nats://a", "cert": ca.PEM}, []string{"cert: is of no use without TLS; use tls://"}},
		"client's, no TLS":       {settings{"url": "kafka://a/b", "clientCert": certificate, "clientKey": "k8s://connaisseur/a/tls.key"}, []string{"clientCert: is of no use without TLS; use kafka+tls://", "clientKey: is of no use"}},
		"no certificate":         {settings{"url": "tls://a", "cert": "k8s://connaisseur/a/secret"}, []string{"cert: has no PEM certificate"}},
		"no client certificate":  {settings{"url": "tls://a", "clientKey": "k8s://connaisseur/a/tls.key"}, []string{"clientCert: is missing"}},
		"no client key":          {settings{"url": "tls://a", "clientCert": certificate}, []string{"clientKey: is missing"}},
		"another's key":          {settings{"url": "tls://a", "clientCert": certificate, "clientKey": "k8s://connaisseur/a/another.key"}, []string{"clientCert: does not go with clientKey"}},
		"key that is none":       {settings{"url": "kafka+tls://a/b", "clientCert": certificate, "clientKey": secret}, []string{"clientCert: does not go with clientKey"}},
		"key where all can read": {settings{"url": "tls://a", "clientCert": certificate, "clientKey": key}, []string{"clientKey: must be k8s://NAMESPACE/SECRET/KEY"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fields := map[string]any{"name": "test"}
			maps.Copy(fields, test.settings)
			_, warnings, errs := sink.Parse(strict.Object{Path: "sinks[0]", Fields: fields}, o)
			if len(errs) != len(test.errors) || len(warnings) > 0 {
				t.Fatalf("errors %q, warnings %q, want %q", errs, warnings, test.errors)
			}
			for i, want := range test.errors {
				got := errs[i].Error()
				if !strings.HasPrefix(got, "sinks[0]."+want) {
					t.Errorf("error %q, want %q", got, want)
				}
				for _, secret := range []string{"s3cret", account, key} {
					if strings.Contains(got, secret) {
						t.Errorf("error %q repeats what is secret", got)
					}
				}
			}
		})
	}
}

func TestBrokersWaitForTheirSecrets(t *testing.T) {
	t.Parallel()
	for _, s := range []settings{
		{"url": "tls://a", "nkey": "k8s://connaisseur/a/b"},
		{"url": "tls://a", "credentials": "k8s://connaisseur/a/b"},
		{"url": "tls://a", "username": "k8s://connaisseur/a/b", "password": "k8s://connaisseur/a/b"},
		{"url": "tls://a", "clientCert": "k8s://connaisseur/a/b", "clientKey": "k8s://connaisseur/a/b"},
		{"url": "kafka+tls://a/b", "username": "k8s://connaisseur/a/b", "password": "k8s://connaisseur/a/b"},
		{"url": "kafka+tls://a/b", "cert": "k8s://connaisseur/a/b"},
	} {
		s["name"] = "test"
		spec, warnings, errs := sink.Parse(strict.Object{Path: "sinks[0]", Fields: s}, objects{})
		if len(errs) > 0 || len(warnings) == 0 {
			t.Errorf("%v: errors %q, warnings %q", s, errs, warnings)
		}
		if _, err := spec.Open(soon(t)); !errors.Is(err, trust.ErrNotThere) {
			t.Errorf("%v: %v", s, err)
		}
	}
}

func TestAnotherSecretIsAnotherSink(t *testing.T) {
	t.Parallel()
	identities := map[string]bool{}
	for _, o := range []objects{{"k8s://connaisseur/a/b": "one"}, {"k8s://connaisseur/a/b": "two"}} {
		spec := parse(t, settings{"url": "kafka+tls://a/b", "username": "me", "password": "k8s://connaisseur/a/b"}, o)
		identities[spec.Identity] = true
	}
	if diff := cmp.Diff(2, len(identities)); diff != "" {
		t.Error(diff)
	}
}

func TestNATSIsDead(t *testing.T) {
	t.Parallel()
	_, err := parse(t, settings{"url": "nats://" + dead(t) + "," + dead(t)}, nil).Open(soon(t))
	says(t, err, false, "no servers available")
	endsWithItsContext(t, settings{"url": "nats://" + mute(t)}, nil)
	endsWithItsContext(t, settings{"url": "tls://" + mute(t) + "," + mute(t)}, nil)
}
