package trust

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Selection is which trust roots of a validator a rule asks for, as the
// configuration has it.
type Selection struct {
	TrustRoot string   `config:"trustRoot"`
	Threshold *int     `config:"threshold"`
	Required  []string `config:"required"`
}

// Quorum is which of some trust roots must have signed: every required one,
// and Threshold distinct ones in all. The zero value is never reached.
type Quorum struct {
	Roots     []Root
	Threshold int
	Required  []string
}

// Select picks the roots that the rule at path asks for.
func (s Selection) Select(path string, roots []Root) (Quorum, strict.Errors) {
	var errs strict.Errors
	if s.TrustRoot != All {
		name := s.TrustRoot
		if name == "" {
			name = DefaultName
		}
		if s.Threshold != nil {
			errs.Add(path+".threshold", `is for trustRoot: "*" only`)
		}
		if s.Required != nil {
			errs.Add(path+".required", `is for trustRoot: "*" only`)
		}
		i := slices.IndexFunc(roots, func(r Root) bool { return r.Name == name })
		if i < 0 {
			errs.Add(path+".trustRoot", "no trust root named %q%s", name, strict.Suggest(name, append(Names(roots), All)))
			return Quorum{}, errs
		}
		return Quorum{Roots: roots[i : i+1], Threshold: 1}, errs
	}
	q := Quorum{Roots: roots, Required: s.Required}
	for i, name := range s.Required {
		at := fmt.Sprintf("%s.required[%d]", path, i)
		if !slices.Contains(Names(roots), name) {
			errs.Add(at, "no trust root named %q%s", name, strict.Suggest(name, Names(roots)))
		}
		if slices.Contains(s.Required[:i], name) {
			errs.Add(at, "%q is listed twice", name)
		}
	}
	switch {
	case s.Threshold != nil && (*s.Threshold < 1 || *s.Threshold > len(roots)):
		errs.Add(path+".threshold", "is %d, but must be between 1 and the number of trust roots, %d", *s.Threshold, len(roots))
	case s.Threshold != nil:
		q.Threshold = *s.Threshold
	case len(s.Required) == 0:
		q.Threshold = len(roots)
	default:
		q.Threshold = len(s.Required)
	}
	return q, errs
}

// Signed tells that a signature of a trust root was verified, and who made it.
type Signed struct {
	Root string
	// Signer is who: a key's ID, or a certificate's issuer and subject.
	Signer string
	// Key is the ID of the key that the signature was verified with.
	Key string
}

// Distinct names the most trust roots that can each be given a signer of its
// own, required ones first: where trust roots overlap, one signer counts for
// one of them. Who signs with the same key, or by the same name, is the same.
func (q Quorum) Distinct(signed []Signed) []string {
	same := aliases{}
	for _, s := range signed {
		same.join("by "+s.Signer, "with "+s.Key)
	}
	owner := map[string]string{} // of a signer: the root it counts for
	var give func(root string, tried map[string]bool) bool
	give = func(root string, tried map[string]bool) bool {
		for _, s := range signed {
			signer := same.of("by " + s.Signer)
			if s.Root != root || tried[signer] {
				continue
			}
			tried[signer] = true
			if before, taken := owner[signer]; !taken || give(before, tried) {
				owner[signer] = root
				return true
			}
		}
		return false
	}
	has := map[string]bool{}
	for _, name := range append(slices.Clone(q.Required), Names(q.Roots)...) {
		has[name] = has[name] || give(name, map[string]bool{})
	}
	return slices.DeleteFunc(Names(q.Roots), func(name string) bool { return !has[name] })
}

// aliases are names of which some are the same's.
type aliases map[string]string

// of is the one name that stands for all that are the same's.
func (a aliases) of(name string) string {
	for a[name] != "" {
		name = a[name]
	}
	return name
}

func (a aliases) join(x, y string) {
	if x, y = a.of(x), a.of(y); x != y {
		a[x] = y
	}
}

// Check tells whether the quorum is reached by these names of distinct trust
// roots. The error says what is missing.
func (q Quorum) Check(signed []string) *validator.Error {
	var signers []string
	for _, root := range q.Roots {
		if slices.Contains(signed, root.Name) {
			signers = append(signers, root.Name)
		}
	}
	var missing []string
	for _, name := range q.Required {
		if !slices.Contains(signers, name) {
			missing = append(missing, name)
		}
	}
	switch {
	case q.Threshold > 0 && len(missing) == 0 && len(signers) >= q.Threshold:
		return nil
	case len(signers) == 0:
		return validator.Errorf(validator.UntrustedSigner, "it is signed, but not by %s", trustRoots(Names(q.Roots), " or "))
	case len(missing) > 0:
		return validator.Errorf(validator.MissingRequired, "it is signed by %s, but not by %s, which must have signed",
			trustRoots(signers, " and "), trustRoots(missing, " and "))
	}
	return validator.Errorf(validator.ThresholdNotReached, "it is signed by %s, but %d of %s must have signed",
		trustRoots(signers, " and "), q.Threshold, trustRoots(Names(q.Roots), ", "))
}

// trustRoots names trust roots in a message.
func trustRoots(names []string, separator string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	if len(names) == 1 {
		return "trust root " + quoted[0]
	}
	return "trust roots " + strings.Join(quoted, separator)
}

// Unavailable is why roots of the quorum cannot be used now; nil if all can.
func (q Quorum) Unavailable() *validator.Error {
	for _, root := range q.Roots {
		if root.Unavailable != nil {
			return validator.Errorf(validator.TrustDataUnavailable, "the trust root %q cannot be read: %w", root.Name, root.Unavailable)
		}
	}
	return nil
}

// Fingerprint identifies the quorum and the content of its trust material.
func (q Quorum) Fingerprint() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %q", q.Threshold, q.Required)
	for _, root := range q.Roots {
		fmt.Fprintf(&b, " %q", root.Name)
		for _, key := range root.Keys {
			b.WriteString(" " + key.ID)
		}
		if root.Identity != nil {
			fmt.Fprintf(&b, " (%s)", root.Identity)
		}
		if root.Authority != nil {
			b.WriteString(" of " + root.Authority.ID)
		}
		if root.Unavailable != nil {
			b.WriteString(" unavailable")
		}
	}
	return b.String()
}
