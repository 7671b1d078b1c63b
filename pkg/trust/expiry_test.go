package trust_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
	"github.com/sse-secure-systems/connaisseur/pkg/testing/sigstoretest"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// A Sigstore keeps the authorities of former years; what counts is that one is left.
func TestMaterialExpiresWithItsLastAuthority(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	text := func(days int) string {
		return notationtest.New(t, "fulcio", notationtest.Valid(now.AddDate(-1, 0, 0), now.AddDate(0, 0, days))).PEM()
	}
	material, err := trust.ParseFulcio([]byte(text(-3) + text(90) + text(2)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := material.Expires(), now.AddDate(0, 0, 90); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestMaterialWithoutCertificatesDoesNotExpire(t *testing.T) {
	t.Parallel()
	rekor, err := trust.ParseRekor(sigstoretest.New(t).RekorKey(t), "https://rekor.example")
	if err != nil {
		t.Fatal(err)
	}
	if got := rekor.Expires(); !got.IsZero() {
		t.Errorf("it expires at %s", got)
	}
}

func TestATrustedRootExpiresWithTheFirstServiceToDoSo(t *testing.T) {
	t.Parallel()
	sigstore := sigstoretest.New(t)
	whole, err := trust.ParseTrustedRoot(sigstore.TrustedRoot(t))
	if err != nil {
		t.Fatal(err)
	}
	fulcio, err := trust.ParseFulcio(sigstore.FulcioChain(t))
	if err != nil {
		t.Fatal(err)
	}
	tsa, err := trust.ParseTimestampAuthority(sigstore.TSAChain(t))
	if err != nil {
		t.Fatal(err)
	}
	want := fulcio.Expires()
	if tsa.Expires().Before(want) {
		want = tsa.Expires()
	}
	if got := whole.Expires(); got.IsZero() || !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEarliest(t *testing.T) {
	t.Parallel()
	at := func(year int) *x509.Certificate {
		return &x509.Certificate{NotAfter: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	if got := trust.Earliest(at(2031), nil, at(2029), at(2030)); got.Year() != 2029 {
		t.Error(got)
	}
	if got := trust.Earliest(); !got.IsZero() {
		t.Error(got)
	}
}
