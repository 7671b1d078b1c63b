package notation

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/notationtest"
)

// with adds entries with these serial numbers to a CRL.
func with(serials ...*big.Int) notationtest.ListOption {
	return func(l *x509.RevocationList) {
		for i, serial := range serials {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: time.Now(), ReasonCode: i})
		}
	}
}

// numbers are serial numbers of all lengths, with a leading bit and without.
func numbers() (serials []*big.Int) {
	for _, bits := range []uint{0, 1, 6, 7, 8, 15, 16, 63, 64, 126, 127, 128, 159} {
		serials = append(serials, new(big.Int).Lsh(big.NewInt(1), bits), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(1)))
	}
	return serials[1:] // 1 is there twice
}

func TestACondensedCRLSaysTheSameOfACertificate(t *testing.T) {
	t.Parallel()
	ca := notationtest.New(t, "CA")
	serials := numbers()
	whole := ca.List(t, with(serials...), notationtest.Scope("http://example.com/"))
	full, err := x509.ParseRevocationList(whole)
	if err != nil {
		t.Fatal(err)
	}
	for i, serial := range serials {
		got, err := condense(whole, []*big.Int{serial})
		if err != nil {
			t.Fatal(err)
		}
		if err := got.CheckSignatureFrom(ca.Certificate); err != nil {
			t.Error(err)
		}
		var want []x509.RevocationListEntry
		for _, e := range full.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(serial) == 0 {
				want = append(want, e)
			}
		}
		if len(want) == 0 || !cmp.Equal(want, got.RevokedCertificateEntries, cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 })) {
			t.Errorf("%d: want %v, got %v", i, want, got.RevokedCertificateEntries)
		}
		if !cmp.Equal(full.Extensions, got.Extensions) || !full.NextUpdate.Equal(got.NextUpdate) || full.Number.Cmp(got.Number) != 0 {
			t.Errorf("%d: want %+v, got %+v", i, full, got)
		}
	}
	none, err := condense(whole, []*big.Int{big.NewInt(12345)})
	if err != nil || len(none.RevokedCertificateEntries) > 0 {
		t.Errorf("of another: %v, %v", none, err)
	}
}

func TestACondensedCRLHasTheSignatureOfTheWhole(t *testing.T) {
	t.Parallel()
	ca := notationtest.New(t, "CA")
	revoked := big.NewInt(7)
	whole := ca.List(t, with(big.NewInt(300), revoked, big.NewInt(500)))
	list, err := condense(whole, []*big.Int{revoked})
	if err != nil || list.CheckSignatureFrom(ca.Certificate) != nil {
		t.Fatalf("%v", err)
	}
	// Whatever is changed, also an entry that is left out, is noticed.
	noticed := 0
	for i := range whole {
		changed := append([]byte{}, whole...)
		changed[i] ^= 1
		if list, err := condense(changed, []*big.Int{revoked}); err == nil && list.CheckSignatureFrom(ca.Certificate) == nil {
			t.Errorf("byte %d is not signed", i)
		}
		noticed++
	}
	if noticed < 200 {
		t.Errorf("only %d bytes", noticed)
	}
}

// FuzzCRL: whatever is served as a CRL, it is refused or says the same of a
// certificate as it does when it is read whole.
func FuzzCRL(f *testing.F) {
	ca := notationtest.New(f, "CA")
	serial := big.NewInt(7)
	f.Add(ca.List(f))
	f.Add(ca.List(f, with(numbers()...), notationtest.Scope("http://example.com/", 0x81, 1, 0xff)))
	f.Add(ca.List(f, with(big.NewInt(300), serial, serial), notationtest.ListFreshest("http://a.example.com/", "ldap:///b")))
	f.Fuzz(func(t *testing.T, crl []byte) {
		list, err := condense(crl, []*big.Int{serial})
		if err != nil {
			return
		}
		_ = checkScope(extension(list.Extensions, issuingDistributionPointOID), "http://example.com/", true)
		_, _ = parseDistributionPoints(extension(list.Extensions, freshestCRLOID))
		full, err := x509.ParseRevocationList(crl)
		if err != nil {
			return // an entry that nobody asks about
		}
		n := 0
		for _, e := range full.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(serial) == 0 {
				n++
			}
		}
		if n != len(list.RevokedCertificateEntries) || !full.NextUpdate.Equal(list.NextUpdate) || len(full.Extensions) != len(list.Extensions) {
			t.Errorf("%d entries for the certificate became %+v", n, list)
		}
	})
}

func TestCRLsAreKeptUpToASize(t *testing.T) {
	t.Parallel()
	kept := newCRLs()
	large := func() fetchedCRL {
		body := make([]byte, 4<<20)
		_, _ = rand.Read(body[:1])
		return fetchedCRL{base: body[:3<<20], delta: body[3<<20:]}
	}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		kept.Put(name, large(), time.Hour)
	}
	_, oldest := kept.Peek("a")
	_, newest := kept.Peek("e")
	if oldest || !newest {
		t.Errorf("the oldest of 20 MiB is kept: %t; the newest: %t", oldest, newest)
	}
}
