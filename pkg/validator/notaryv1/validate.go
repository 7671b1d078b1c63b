package notaryv1

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/singleflight"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

// releases is the delegation that Docker's client signs with, if there is one.
const releases = dct.TargetsRole + "/releases"

// Bound is a Notary with the settings of one rule.
type Bound struct {
	*Notary
	quorum      trust.Quorum
	delegations []string // roles that all must have signed; none for the usual one
	trust       string   // identifies server and quorum
	fingerprint string
	flights     singleflight.Group
}

var (
	_ validator.Validator = (*Bound)(nil)
	_ validator.Resolver  = (*Bound)(nil)
)

// Fingerprint covers the server, the quorum with every key of it, and the
// delegations.
func (b *Bound) Fingerprint() string { return b.fingerprint }

// Validate finds what the repository's trust data says about the image.
func (b *Bound) Validate(ctx context.Context, req validator.Request) (validator.Result, error) {
	if failure := b.quorum.Unavailable(); failure != nil {
		return validator.Result{}, failure
	}
	ref := req.Image
	found, failure := b.load(ctx, ref.Registry()+"/"+ref.Repository(), req.Identity)
	if failure != nil {
		return validator.Result{}, failure
	}
	digest, by, failure := b.find(found, ref)
	if failure != nil {
		return validator.Result{}, failure
	}
	return validator.Result{
		Digest: digest, TrustRoots: b.quorum.Distinct(found.root.Signed()),
		Signers: signers(found.root.Signed(), by), Expires: found.expires(by), Seen: b.seen(found),
	}, nil
}

// seen is what a result relied on, for another replica.
func (b *Bound) seen(found *repository) string {
	s := found.seen(b.now())
	s.Resets = b.state.Versions.of(b.key(found.name)).Resets
	text, err := json.Marshal(s)
	if err != nil {
		return "{}" // which holds nowhere
	}
	return string(text)
}

// Holds implements validator.Witness: what rests on older trust data than was seen
// here, or was forgotten here since, does not.
func (b *Bound) Holds(req validator.Request, text string) bool {
	var seen Seen
	if json.Unmarshal([]byte(text), &seen) != nil || seen.Root == 0 {
		return false
	}
	return b.state.Versions.newest(b.key(req.Image.Registry()+"/"+req.Image.Repository()), seen)
}

// Resolve gives the digest that the trust data has for the reference's tag.
func (b *Bound) Resolve(ctx context.Context, req validator.Request) (image.Digest, error) {
	if req.Image.Tag() == "" {
		return req.Image.Digest(), nil
	}
	req.Image = req.Image.WithDigest("")
	result, err := b.Validate(ctx, req)
	return result.Digest, err
}

// find looks the image up in the roles that count, which must agree.
func (b *Bound) find(found *repository, ref image.Reference) (image.Digest, []*dct.Targets, *validator.Error) {
	var by []*dct.Targets
	var missing []string // what is wrong with the roles that do not have it
	for _, role := range b.roles(found) {
		targets, why := found.role(role)
		if why == "" {
			why = lacks(targets, ref)
		}
		if why == "" {
			by = append(by, targets)
		} else {
			missing = append(missing, why)
		}
	}
	switch {
	case len(missing) == 0 && len(by) == 0:
		return "", nil, validator.Errorf(validator.Internal, "no role is looked at")
	case len(by) == 0:
		return "", nil, validator.Errorf(validator.NoSignature, "in the trust data of %s at %s, %s%s", found.name, b.server, strings.Join(missing, ", and "), b.elsewhere(found, ref))
	case len(missing) > 0:
		return "", nil, validator.Errorf(validator.MissingRequired, "all of the delegations %s must have signed it, but in the trust data of %s %s",
			strings.Join(b.delegations, ", "), found.name, strings.Join(missing, ", and "))
	}
	digest, failure := agreed(by, ref)
	return digest, by, failure
}

// roles are those that count: all that the rule names, or else the usual one,
// which is the role targets if the delegation releases was never published.
func (b *Bound) roles(found *repository) []string {
	switch {
	case len(b.delegations) > 0:
		return b.delegations
	case found.targets[releases] != nil:
		return []string{releases}
	}
	return []string{dct.TargetsRole}
}

// lacks says why the role's targets do not have the image; "" if they do.
func lacks(t *dct.Targets, ref image.Reference) string {
	if ref.Tag() == "" {
		if t.Has(ref.Digest()) {
			return ""
		}
		return fmt.Sprintf("%s has no tag with the digest %s", t.Role(), ref.Digest())
	}
	if !t.Covers(ref.Tag()) {
		return fmt.Sprintf("%s is not for the tag %q", t.Role(), ref.Tag())
	}
	if _, ok := t.Digest(ref.Tag()); !ok {
		return fmt.Sprintf("%s has no tag %q", t.Role(), ref.Tag())
	}
	return ""
}

// agreed is the one digest that all of the targets have for the image, which
// they all have, and that the reference itself names if it names one.
func agreed(by []*dct.Targets, ref image.Reference) (image.Digest, *validator.Error) {
	if ref.Tag() == "" {
		return ref.Digest(), nil
	}
	digest, _ := by[0].Digest(ref.Tag())
	for _, t := range by[1:] {
		if d, _ := t.Digest(ref.Tag()); d != digest {
			return "", validator.Errorf(validator.AmbiguousDigest, "the tag %q stands for %s by %s, but for %s by %s", ref.Tag(), digest, by[0].Role(), d, t.Role())
		}
	}
	switch {
	case digest == "":
		return "", validator.Errorf(validator.InvalidTrustData, "the trust data has no SHA-256 digest for the tag %q", ref.Tag())
	case ref.Digest() != "" && ref.Digest() != digest:
		return "", validator.Errorf(validator.DigestMismatch, "the reference names %s, but its tag %q is signed for %s", ref.Digest(), ref.Tag(), digest)
	}
	return digest, nil
}

// elsewhere says which other roles have the image, for whoever wonders why it
// does not count.
func (b *Bound) elsewhere(found *repository, ref image.Reference) string {
	if len(b.delegations) == 0 {
		targets := found.targets[dct.TargetsRole]
		if found.targets[releases] != nil && lacks(targets, ref) == "" {
			return "; the role targets has it, which does not count beside the delegation releases"
		}
		if others := slices.DeleteFunc(targets.Delegations(), func(role string) bool { return role == releases }); len(others) > 0 && len(others) <= 8 {
			return fmt.Sprintf("; what the delegations %s have signed counts where a rule names them under with.delegations", strings.Join(others, ", "))
		}
	}
	return ""
}

// signers names who signed, for people.
func signers(roots []trust.Signed, by []*dct.Targets) []string {
	var names []string
	for _, s := range roots {
		names = append(names, fmt.Sprintf("%s (%s)", s.Root, s.Signer))
	}
	for _, t := range by {
		names = append(names, "role "+t.Role())
	}
	return names
}
