package notation

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
)

const (
	// anybody stands for everybody who has a certificate of the trust root.
	anybody = "*"
	// subjectPrefix begins the one kind of identity that there is.
	subjectPrefix = "x509.subject:"
	// maxIdentities bounds the identities of a trust root.
	maxIdentities = 64
)

// subjectFields are the fields of a subject that an identity can name. RFC 4519,
// section 2, and X.520.
var subjectFields = map[string]string{
	"C": "2.5.4.6", "ST": "2.5.4.8", "L": "2.5.4.7", "STREET": "2.5.4.9", "POSTALCODE": "2.5.4.17",
	"O": "2.5.4.10", "OU": "2.5.4.11", "CN": "2.5.4.3", "SERIALNUMBER": "2.5.4.5",
}

// subject is what an identity demands of the subject of a certificate: a value of
// each of these fields, by the field's object identifier.
type subject map[string]string

// has tells whether a certificate has each field once, with that value. The
// library compares no subject that has anything beyond such fields, and of two
// values of one the last.
func (s subject) has(c *x509.Certificate) bool {
	for field, want := range s {
		var values []any
		for _, name := range c.Subject.Names {
			if name.Type.String() == field {
				values = append(values, name.Value)
			}
		}
		if len(values) != 1 || values[0] != want {
			return false
		}
	}
	return len(s) > 0
}

// identifies tells whether the root trusts whom a certificate names.
func (r signerRoot) identifies(c *x509.Certificate) bool {
	return r.subjects == nil || slices.ContainsFunc(r.subjects, func(s subject) bool { return s.has(c) })
}

// parseSubject reads an identity that the library takes.
func parseSubject(identity string) (subject, error) {
	name, err := ldap.ParseDN(strings.TrimPrefix(identity, subjectPrefix))
	if err != nil {
		return nil, err
	}
	s := subject{}
	for _, part := range name.RDNs {
		for _, a := range part.Attributes {
			field, ok := subjectFields[a.Type]
			if a.Type == "S" { // as the library has it
				field, ok = subjectFields["ST"], true
			}
			if !ok {
				fields := slices.Sorted(maps.Keys(subjectFields))
				return nil, fmt.Errorf("has the field %.80q, but only %s can be compared%s", a.Type, strings.Join(fields, ", "), strict.Suggest(a.Type, fields))
			}
			s[field] = a.Value
		}
	}
	return s, nil
}

// parseIdentities makes sure that each identity is one that the library takes, and
// that none includes another. There are none of a trust root that trusts anybody.
func parseIdentities(path string, identities []string) (subjects []subject, errs strict.Errors) {
	switch {
	case identities == nil, slices.Equal(identities, []string{anybody}):
		return nil, nil
	case len(identities) == 0:
		errs.Add(path, "is empty; leave it out to trust everybody who has a certificate of the trust root")
		return nil, errs
	case len(identities) > maxIdentities:
		errs.Add(path, "has more than %d identities", maxIdentities)
		return nil, errs
	}
	for i, identity := range identities {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !strings.HasPrefix(identity, subjectPrefix) {
			errs.Add(at, "%.80q must read %q, with the fields of a certificate's subject, of which C, ST and O are mandatory", identity, subjectPrefix+" C=DE, ST=Berlin, O=Example")
			continue
		}
		if err := policyOf(signerRoot{}, Strict, "", identity).Validate(); err != nil {
			errs.Add(at, "%v", err)
			continue
		}
		s, err := parseSubject(identity)
		if err != nil {
			errs.Add(at, "%v", err)
		}
		subjects = append(subjects, s)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	if err := policyOf(signerRoot{}, Strict, "", identities...).Validate(); err != nil {
		errs.Add(path, "%v", err)
	}
	return subjects, errs
}
