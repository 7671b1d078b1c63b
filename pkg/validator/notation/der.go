package notation

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// maxCondensed bounds a CRL without its entries, which is parsed before anybody
// knows who has made it.
const maxCondensed = 64 << 10

// Extensions of certificates and CRLs. RFC 5280, sections 4.2.1.13 and 5.2.
var (
	distributionPointsOID       = asn1.ObjectIdentifier{2, 5, 29, 31}
	deltaIndicatorOID           = asn1.ObjectIdentifier{2, 5, 29, 27}
	issuingDistributionPointOID = asn1.ObjectIdentifier{2, 5, 29, 28}
	freshestCRLOID              = asn1.ObjectIdentifier{2, 5, 29, 46}
)

var errBrokenCRL = errors.New("the CRL cannot be read")

// extension is the value of an extension, nil if there is none.
func extension(of []pkix.Extension, id asn1.ObjectIdentifier) []byte {
	for _, e := range of {
		if e.Id.Equal(id) {
			return e.Value
		}
	}
	return nil
}

// condense reads a CRL, and of its entries those with the serial numbers only:
// all of them would take some twenty times the memory that they take encoded. What
// the issuer has signed remains whole, so that the signature can be verified.
// RFC 5280, section 5.1.
func condense(crl []byte, serials []*big.Int) (*x509.RevocationList, error) {
	in := cryptobyte.String(crl)
	var list, tbs cryptobyte.String
	if !in.ReadASN1(&list, der.SEQUENCE) || !in.Empty() || !list.ReadASN1Element(&tbs, der.SEQUENCE) {
		return nil, errBrokenCRL
	}
	head, entries, tail, ok := split(tbs)
	if !ok {
		return nil, errBrokenCRL
	}
	entries, ok = only(entries, serials)
	if !ok {
		return nil, errBrokenCRL
	}
	if len(head)+len(entries)+len(tail)+len(list) > maxCondensed {
		return nil, errors.New("the CRL says too much beside which certificates were revoked")
	}
	var short cryptobyte.Builder
	short.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(head)
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(entries) })
			b.AddBytes(tail)
		})
		b.AddBytes(list) // the algorithm and the signature
	})
	text, err := short.Bytes()
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseRevocationList(text)
	if err != nil {
		return nil, err
	}
	parsed.Raw, parsed.RawTBSRevocationList = crl, tbs
	return parsed, nil
}

// split divides what is signed into the entries, and what is before and after
// them.
func split(tbs cryptobyte.String) (head, entries, tail cryptobyte.String, ok bool) {
	if !tbs.ReadASN1(&tbs, der.SEQUENCE) {
		return nil, nil, nil, false
	}
	all := tbs
	// The version, the algorithm, the issuer, and one time or two.
	if !tbs.SkipASN1(der.INTEGER) || !tbs.SkipASN1(der.SEQUENCE) || !tbs.SkipASN1(der.SEQUENCE) || !skipTime(&tbs) {
		return nil, nil, nil, false
	}
	skipTime(&tbs)
	head = all[:len(all)-len(tbs)]
	if !tbs.ReadOptionalASN1(&entries, nil, der.SEQUENCE) {
		return nil, nil, nil, false
	}
	tail = tbs
	return head, entries, tail, tbs.SkipOptionalASN1(der.Tag(0).ContextSpecific().Constructed()) && tbs.Empty()
}

func skipTime(s *cryptobyte.String) bool {
	return s.PeekASN1Tag(der.UTCTime) && s.SkipASN1(der.UTCTime) || s.PeekASN1Tag(der.GeneralizedTime) && s.SkipASN1(der.GeneralizedTime)
}

// only are the entries with these serial numbers.
func only(entries cryptobyte.String, serials []*big.Int) (found cryptobyte.String, ok bool) {
	wanted := make([][]byte, len(serials))
	for i, serial := range serials {
		wanted[i] = serial.FillBytes(make([]byte, max(1, (serial.BitLen()+7)/8)))
	}
	var (
		whole, entry cryptobyte.String
		serial       []byte
	)
	for !entries.Empty() {
		if !entries.ReadASN1Element(&whole, der.SEQUENCE) {
			return nil, false
		}
		entry = whole
		if !entry.ReadASN1(&entry, der.SEQUENCE) || !entry.ReadASN1Integer(&serial) {
			return nil, false
		}
		if slices.ContainsFunc(wanted, func(w []byte) bool { return bytes.Equal(w, serial) }) {
			found = append(found, whole...)
		}
	}
	return found, true
}

// distributionPoint is where a CRL can be had.
type distributionPoint struct {
	urls []string // alternatives
	// partial tells that the CRL is for some reasons of a revocation only.
	partial bool
}

// parseDistributionPoints reads them. RFC 5280, section 4.2.1.13.
func parseDistributionPoints(value []byte) ([]distributionPoint, error) {
	broken := errors.New("CRL distribution points cannot be read")
	in := cryptobyte.String(value)
	if !in.ReadASN1(&in, der.SEQUENCE) {
		return nil, broken
	}
	var points []distributionPoint
	for !in.Empty() {
		var (
			one, name cryptobyte.String
			named     bool
			point     distributionPoint
		)
		if !in.ReadASN1(&one, der.SEQUENCE) || !one.ReadOptionalASN1(&name, &named, der.Tag(0).ContextSpecific().Constructed()) {
			return nil, broken
		}
		if named {
			point.urls = fullName(name)
		}
		point.partial = one.PeekASN1Tag(der.Tag(1).ContextSpecific())
		points = append(points, point)
	}
	return points, nil
}

// fullName are the URIs among the names of a distribution point; none if it has
// none, or cannot be read.
func fullName(name cryptobyte.String) (urls []string) {
	if !name.ReadASN1(&name, der.Tag(0).ContextSpecific().Constructed()) {
		return nil // relative to the CRL's issuer
	}
	for !name.Empty() {
		var (
			value cryptobyte.String
			tag   der.Tag
		)
		if !name.ReadAnyASN1(&value, &tag) {
			return nil
		}
		if tag == der.Tag(6).ContextSpecific() {
			urls = append(urls, string(value))
		}
	}
	return urls
}

// checkScope makes sure that a CRL with that issuing distribution point, fetched
// from there, says of a certificate, an authority's or not, whether it was revoked
// for any reason. RFC 5280, sections 5.2.5 and 6.3.3 (b).
func checkScope(issuingDistributionPoint []byte, from string, authority bool) error {
	elsewhere := errors.New("the CRL is about other certificates")
	in := cryptobyte.String(issuingDistributionPoint)
	if !in.ReadASN1(&in, der.SEQUENCE) {
		return errBrokenCRL
	}
	for !in.Empty() {
		var (
			value cryptobyte.String
			tag   der.Tag
		)
		if !in.ReadAnyASN1(&value, &tag) {
			return errBrokenCRL
		}
		said := !bytes.Equal(value, []byte{0}) // of a BOOLEAN
		switch tag {
		case der.Tag(0).ContextSpecific().Constructed():
			if !slices.Contains(fullName(value), from) {
				return elsewhere
			}
		case der.Tag(1).ContextSpecific(): // onlyContainsUserCerts
			if said && authority {
				return elsewhere
			}
		case der.Tag(2).ContextSpecific(): // onlyContainsCACerts
			if said && !authority {
				return elsewhere
			}
		case der.Tag(4).ContextSpecific(), der.Tag(5).ContextSpecific(): // indirectCRL, onlyContainsAttributeCerts
			if said {
				return elsewhere
			}
		default: // onlySomeReasons
			return errors.New("the CRL is about some reasons of a revocation only")
		}
	}
	return nil
}
