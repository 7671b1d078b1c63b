package admission

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/reconciler"
	certresources "knative.dev/pkg/webhook/certificates/resources"
)

const nextCert, nextKey = nextPrefix + certresources.ServerCert, nextPrefix + certresources.ServerKey

// rotating is a rotation whose clock and surroundings are the test's.
type rotating struct {
	*rotation
	clock     time.Time
	published bool
	again     []time.Duration
	events    *record.FakeRecorder
}

func newRotating() *rotating {
	r := &rotating{clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), events: record.NewFakeRecorder(8)}
	r.rotation = &rotation{
		hosts:     []string{"webhook.connaisseur.svc", "127.0.0.1"},
		now:       func() time.Time { return r.clock },
		events:    r.events,
		published: func([]byte) bool { return r.published },
		again:     func(after time.Duration) { r.again = append(r.again, after) },
	}
	return r
}

// said are the Events since the last time.
func (r *rotating) said() (all []string) {
	for len(r.events.Events) > 0 {
		all = append(all, <-r.events.Events)
	}
	return all
}

// must does a step and wants it to change the Secret, or not.
func (r *rotating) must(t testing.TB, secret *corev1.Secret, change bool) *corev1.Secret {
	t.Helper()
	got, err := r.step(secret.DeepCopy())
	if err != nil || (got != nil) != change {
		t.Fatalf("want a change %v, got %v, %v", change, got != nil, err)
	}
	if got == nil {
		return secret
	}
	r.serves(t, got)
	return got
}

// serves makes sure that the Secret's pair is good for each host under the
// Secret's authorities.
func (r *rotating) serves(t testing.TB, secret *corev1.Secret) {
	t.Helper()
	certificate, key := pair(secret)
	loaded, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authorities(secret))
	for _, host := range r.hosts {
		if _, err := loaded.Leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: r.clock, DNSName: host}); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func count(bundle []byte) (n int) {
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	return n
}

func leaf(secret *corev1.Secret) string { return string(secret.Data[certresources.ServerCert]) }

func bundle(secret *corev1.Secret) []byte { return secret.Data[certresources.CACert] }

// DESIGN §9: both authorities are published before a new leaf is served.
func TestARenewalPublishesBothAuthoritiesBeforeTheNewLeafIsServed(t *testing.T) {
	t.Parallel()
	r := newRotating()
	first := r.must(t, &corev1.Secret{}, true)
	if count(bundle(first)) != 1 || first.Data[nextCert] != nil {
		t.Fatal("the first certificate does not stand alone")
	}
	r.must(t, first, false)
	if want := certificateLifetime - renewBefore; len(r.again) != 1 || r.again[0] != want {
		t.Errorf("want to be called again after %v, got %v", want, r.again)
	}
	r.clock = r.clock.Add(certificateLifetime - renewBefore - time.Second)
	r.must(t, first, false)

	r.clock = r.clock.Add(time.Second)
	renewing := r.must(t, first, true)
	if leaf(renewing) != leaf(first) || count(bundle(renewing)) != 2 || !bytes.HasPrefix(bundle(renewing), bundle(first)) {
		t.Error("the renewal changed what is served, or does not publish both authorities")
	}
	r.again = nil
	r.must(t, renewing, false)
	if len(r.again) != 1 {
		t.Errorf("nobody looks again whether it is published: %v", r.again)
	}
	r.published = true
	noted := r.must(t, renewing, true)
	if leaf(noted) != leaf(first) || noted.Annotations[publishedAnnotation] == "" {
		t.Error("it is not noted since when the authority is published")
	}
	r.clock = r.clock.Add(settle - time.Second)
	r.again = nil
	r.must(t, noted, false)
	if len(r.again) != 1 || r.again[0] != time.Second {
		t.Errorf("want to be called again after 1 s, got %v", r.again)
	}
	r.clock = r.clock.Add(time.Second)
	promoted := r.must(t, noted, true)
	if leaf(promoted) == leaf(first) || leaf(promoted) != string(noted.Data[nextCert]) || promoted.Data[nextCert] != nil || promoted.Data[nextKey] != nil ||
		count(bundle(promoted)) != 2 || promoted.Annotations[publishedAnnotation] != "" {
		t.Error("the next certificate is not what is served")
	}
	r.must(t, promoted, false)
	// The next renewal drops the authority that has expired by then.
	r.clock = r.clock.Add(certificateLifetime - renewBefore)
	if third := r.must(t, promoted, true); count(bundle(third)) != 2 || bytes.Contains(bundle(third), bytes.TrimSpace(bundle(first))) {
		t.Error("the expired authority is still published")
	}
}

// A key that may be known to others is of no use to them once replicas serve another.
func TestAnAuthorityGoesWithWhatItHasSigned(t *testing.T) {
	t.Parallel()
	r := newRotating()
	r.published = true
	first := r.must(t, &corev1.Secret{}, true)
	first.Annotations[renewAnnotation] = ""
	noted := r.must(t, r.must(t, first, true), true)
	r.clock = r.clock.Add(settle)
	promoted := r.must(t, noted, true)
	r.clock = r.clock.Add(retireAfter - time.Second)
	r.again = nil
	r.must(t, promoted, false)
	if count(bundle(promoted)) != 2 || len(r.again) != 1 || r.again[0] != time.Second {
		t.Errorf("want both authorities for another second, got %d, and %v", count(bundle(promoted)), r.again)
	}
	r.clock = r.clock.Add(time.Second)
	alone := r.must(t, promoted, true)
	if leaf(alone) != leaf(promoted) || count(bundle(alone)) != 1 || alone.Annotations[servedAnnotation] != "" {
		t.Error("the authority of before is still trusted")
	}
	r.must(t, alone, false)

	// One that is left over from a version that has kept them.
	other, err := issue(r.hosts, r.clock)
	if err != nil {
		t.Fatal(err)
	}
	alone.Data[certresources.CACert] = append(bundle(alone), other.authority...)
	left := r.must(t, alone, true)
	if count(bundle(left)) != 2 {
		t.Error("it goes at once")
	}
	r.clock = r.clock.Add(retireAfter)
	if gone := r.must(t, left, true); count(bundle(gone)) != 1 {
		t.Error("it stays")
	}
}

// Whoever asks for renewals all the time must not fill the Secret, after which there
// would be none.
func TestAuthoritiesAreBounded(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*corev1.Secret){
		"it is asked for":           func(s *corev1.Secret) { s.Annotations = map[string]string{renewAnnotation: ""} },
		"the certificate is spoilt": func(s *corev1.Secret) { s.Data[certresources.ServerCert] = []byte("x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRotating()
			r.published = true
			secret := r.must(t, &corev1.Secret{}, true)
			for range 10 {
				change(secret)
				before := leaf(secret)
				for leaf(secret) == before {
					secret = r.must(t, secret, true)
					r.clock = r.clock.Add(settle)
				}
			}
			if n := count(bundle(secret)); n > maxSpare+2 {
				t.Errorf("there are %d authorities", n)
			}
		})
	}
}

// An operator who does not trust the key any more does not wait until it is due, and
// fails no request either.
func TestARenewalMayBeAskedFor(t *testing.T) {
	t.Parallel()
	r := newRotating()
	first := r.must(t, &corev1.Secret{}, true)
	first.Annotations = map[string]string{renewAnnotation: ""}
	renewing := r.must(t, first, true)
	if leaf(renewing) != leaf(first) || count(bundle(renewing)) != 2 || renewing.Data[nextCert] == nil {
		t.Error("the renewal changed what is served, or does not publish both authorities")
	}
	if _, ok := renewing.Annotations[renewAnnotation]; ok {
		t.Error("the wish outlives its fulfilment")
	}
}

func TestWhatCannotServeIsReplacedAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*rotating, *corev1.Secret)
		cas    int
	}{
		"the certificate has expired":      {func(r *rotating, _ *corev1.Secret) { r.clock = r.clock.Add(certificateLifetime) }, 1},
		"the certificate is not valid yet": {func(r *rotating, _ *corev1.Secret) { r.clock = r.clock.Add(-2 * time.Hour) }, 2},
		"the hosts have changed":           {func(r *rotating, _ *corev1.Secret) { r.hosts = append(r.hosts, "other.example.org") }, 2},
		"the certificate is garbage":       {func(_ *rotating, s *corev1.Secret) { s.Data[certresources.ServerCert] = []byte("x") }, 2},
		"the key is missing":               {func(_ *rotating, s *corev1.Secret) { delete(s.Data, certresources.ServerKey) }, 2},
		"the key is another's": {func(r *rotating, s *corev1.Secret) {
			o, _ := issue(r.hosts, r.clock)
			s.Data[certresources.ServerKey] = o.key
		}, 2},
		"the authority is missing": {func(_ *rotating, s *corev1.Secret) { delete(s.Data, certresources.CACert) }, 1},
		"the authority is garbage": {func(_ *rotating, s *corev1.Secret) { s.Data[certresources.CACert] = []byte("x") }, 1},
		"the authority is another's": {func(r *rotating, s *corev1.Secret) {
			o, _ := issue(r.hosts, r.clock)
			s.Data[certresources.CACert] = o.authority
		}, 2},
		"there is nothing but unrelated data": {func(_ *rotating, s *corev1.Secret) { s.Data = map[string][]byte{"x": []byte("y")} }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRotating()
			secret := r.must(t, &corev1.Secret{}, true)
			before := leaf(secret)
			c.change(r, secret)
			after := r.must(t, secret, true)
			if leaf(after) == before || count(bundle(after)) != c.cas {
				t.Errorf("replaced %v, %d authorities", leaf(after) != before, count(bundle(after)))
			}
			r.must(t, after, false)
		})
	}
}

// A leader whose clock is behind that of the one before, by no more than happens, does
// not replace what all others serve with.
func TestAClockThatIsBehindReplacesNothing(t *testing.T) {
	t.Parallel()
	r := newRotating()
	secret := r.must(t, &corev1.Secret{}, true)
	r.clock = r.clock.Add(-50 * time.Minute)
	if _, err := leafOf(secret.Data[certresources.ServerCert], secret.Data[certresources.ServerKey], bundle(secret), r.hosts, r.clock); err != nil {
		t.Errorf("an API server with that clock does not trust it: %v", err)
	}
	r.must(t, secret, false)
}

// What is next is never served if it could not be.
func TestANextPairThatCannotServeIsMadeAnew(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*corev1.Secret){
		"the certificate is garbage":   func(s *corev1.Secret) { s.Data[nextCert] = []byte("x") },
		"the key is missing":           func(s *corev1.Secret) { delete(s.Data, nextKey) },
		"its authority is not there":   func(s *corev1.Secret) { s.Data[certresources.CACert] = firstBlock(bundle(s)) },
		"the annotation is far future": func(s *corev1.Secret) { s.Annotations[publishedAnnotation] = "2999-01-01T00:00:00Z" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRotating()
			r.published = true
			first := r.must(t, &corev1.Secret{}, true)
			r.clock = r.clock.Add(certificateLifetime - renewBefore)
			secret := r.must(t, r.must(t, first, true), true)
			change(secret)
			r.clock = r.clock.Add(2 * settle)
			repaired := r.must(t, secret, true)
			if leaf(repaired) != leaf(first) {
				t.Error("it was served")
			}
			for range 2 { // noted and promoted
				if got, err := r.step(repaired.DeepCopy()); err != nil {
					t.Fatal(err)
				} else if got != nil {
					repaired = got
				}
				r.clock = r.clock.Add(2 * settle)
			}
			r.serves(t, repaired)
			if leaf(repaired) == leaf(first) {
				t.Error("it was never promoted")
			}
		})
	}
}

func firstBlock(text []byte) []byte {
	block, _ := pem.Decode(text)
	return pem.EncodeToMemory(block)
}

func secretLister(t testing.TB, secrets ...*corev1.Secret) corelisters.SecretNamespaceLister {
	t.Helper()
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, s := range secrets {
		if err := indexer.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	return corelisters.NewSecretLister(indexer).Secrets("connaisseur")
}

var certificateSecret = metav1.ObjectMeta{Namespace: "connaisseur", Name: "certificate", ResourceVersion: "1"}

func TestOnlyTheLeaderRotatesAndOnlyItsOwnSecret(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		secret  *corev1.Secret
		leads   bool
		updates int
		said    string
	}{
		"it leads, and the Secret is empty":                {&corev1.Secret{ObjectMeta: certificateSecret}, true, 1, ""},
		"it does not lead":                                 {&corev1.Secret{ObjectMeta: certificateSecret}, false, 0, ""},
		"the Secret is cert-manager's or the user's":       {&corev1.Secret{ObjectMeta: certificateSecret, Type: corev1.SecretTypeTLS}, true, 0, "Warning CertificateUnusable "},
		"the Secret is the user's, and is garbage":         {&corev1.Secret{ObjectMeta: certificateSecret, Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": []byte("x")}}, true, 0, "Warning CertificateUnusable "},
		"the Secret is missing, which a step cannot heal.": {nil, true, 0, "Warning CertificateMissing Secret certificate is missing: apply the manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRotating()
			r.key = types.NamespacedName{Namespace: "connaisseur", Name: "certificate"}
			var there []runtime.Object
			r.secrets = secretLister(t)
			if c.secret != nil {
				there, r.secrets = append(there, c.secret), secretLister(t, c.secret)
			}
			client := fake.NewSimpleClientset(there...)
			r.client = client
			if c.leads {
				if err := r.Promote(reconciler.UniversalBucket(), nil); err != nil {
					t.Fatal(err)
				}
			}
			err := r.Reconcile(quiet(t), r.key.String())
			if c.leads && err != nil || !c.leads && !controller.IsSkipKey(err) {
				t.Error(err)
			}
			if said := r.said(); (len(said) == 1) != (c.said != "") || len(said) == 1 && !strings.HasPrefix(said[0], c.said) {
				t.Errorf("the Events are %q", said)
			}
			if got := len(client.Actions()); got != c.updates {
				t.Errorf("want %d calls, got %v", c.updates, client.Actions())
			}
		})
	}
}

func TestTheServedCertificateFollowsTheSecret(t *testing.T) {
	t.Parallel()
	r := newRotating()
	r.clock = time.Now()
	secret := r.must(t, &corev1.Secret{ObjectMeta: certificateSecret}, true)
	current, failure := secret, error(nil)
	source := CertificateSource(func() (*corev1.Secret, error) { return current, failure })
	first, err := source()
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := source(); again != first {
		t.Error("it was parsed again")
	}
	other, err := issue(r.hosts, r.clock)
	if err != nil {
		t.Fatal(err)
	}
	current = &corev1.Secret{ObjectMeta: certificateSecret, Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": other.certificate, "tls.key": other.key, "ca.crt": other.authority}}
	current.ResourceVersion = "2"
	if got, err := source(); err != nil || got == first || !bytes.Equal(authorities(current), other.authority) {
		t.Errorf("a Secret of the user's own: %v", err)
	}
	kept, _ := source()
	for name, data := range map[string]map[string][]byte{"it is empty": nil, "it is garbage": {"tls.crt": []byte("x"), "tls.key": []byte("y")}} {
		current = current.DeepCopy()
		current.ResourceVersion += "0"
		current.Data = data
		if got, err := source(); err != nil || got != kept {
			t.Errorf("%s, and what was served before is no more: %v", name, err)
		}
		if _, err := CertificateSource(func() (*corev1.Secret, error) { return current, nil })(); err == nil {
			t.Errorf("%s, and is served", name)
		}
	}
	failure = errors.New("down")
	if got, err := source(); err != nil || got != kept {
		t.Errorf("the Secret is gone, and what was served before is no more: %v", err)
	}
	if _, err := CertificateSource(func() (*corev1.Secret, error) { return nil, failure })(); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
}

// What is served is kept for want of another, but not when it has expired.
func TestAnExpiredCertificateIsNotKept(t *testing.T) {
	t.Parallel()
	old, err := issue([]string{"webhook.connaisseur.svc"}, time.Now().Add(-certificateLifetime-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	current := &corev1.Secret{ObjectMeta: certificateSecret, Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": old.certificate, "tls.key": old.key}}
	source := CertificateSource(func() (*corev1.Secret, error) { return current, nil })
	if _, err := source(); err != nil {
		t.Fatal(err)
	}
	current = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "2"}}
	if _, err := source(); err == nil {
		t.Error("it is served on")
	}
}

// Nobody else tells an operator what is wrong with a certificate of the user's own.
func TestACertificateOfTheUsersOwnIsChecked(t *testing.T) {
	t.Parallel()
	r := newRotating()
	r.key = types.NamespacedName{Namespace: "connaisseur", Name: "certificate"}
	good, err := issue(r.hosts, r.clock)
	if err != nil {
		t.Fatal(err)
	}
	other, err := issue([]string{"other.example.org"}, r.clock)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		authority, certificate, key []byte
		said                        string
	}{
		"it is right":            {good.authority, good.certificate, good.key, ""},
		"ca.crt is missing":      {nil, good.certificate, good.key, "unknown authority"},
		"ca.crt is another's":    {other.authority, good.certificate, good.key, "unknown authority"},
		"it is for another name": {other.authority, other.certificate, other.key, "other.example.org"},
		"the key is another's":   {good.authority, good.certificate, other.key, "private key"},
	} {
		secret := &corev1.Secret{ObjectMeta: certificateSecret, Type: corev1.SecretTypeTLS, Data: map[string][]byte{"tls.crt": c.certificate, "tls.key": c.key, "ca.crt": c.authority}}
		core, logs := observer.New(zapcore.ErrorLevel)
		r.check(logging.WithLogger(t.Context(), zap.New(core).Sugar()), secret)
		if all := logs.All(); len(all) > 1 || (len(all) == 1) != (c.said != "") || len(all) == 1 && !strings.Contains(all[0].Message, c.said) {
			t.Errorf("%s: the log has %v", name, all)
		}
		if said := r.said(); len(said) > 1 || (len(said) == 1) != (c.said != "") || len(said) == 1 && (!strings.HasPrefix(said[0], "Warning CertificateUnusable ") || !strings.Contains(said[0], c.said)) {
			t.Errorf("%s: the Events are %q", name, said)
		}
	}
}
