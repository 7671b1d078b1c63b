package dct

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/theupdateframework/go-tuf/data"
	"github.com/theupdateframework/go-tuf/verify"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// wireRole is whose signatures a role needs.
type wireRole struct {
	KeyIDs    []string `json:"keyids"`
	Threshold int      `json:"threshold"`
}

// authority knows the keys of roles.
type authority struct {
	keys  map[string]*publicKey // by ID; without those of types that are not supported
	roles map[string]wireRole
	db    *verify.DB
}

// newAuthority reads keys, which must have the IDs that they have, and roles.
func newAuthority(wire map[string]wireKey, roles map[string]wireRole) (*authority, error) {
	if len(wire) > maxKeys || len(roles) > maxRoles {
		return nil, fmt.Errorf("it has more than %d keys or %d roles", maxKeys, maxRoles)
	}
	a := &authority{keys: map[string]*publicKey{}, roles: roles}
	for _, id := range slices.Sorted(maps.Keys(wire)) {
		k := wire[id]
		switch actual := k.id(); {
		case actual != id:
			return nil, fmt.Errorf("the key %.80q is in fact %s", id, actual)
		case k.Value.Private != nil:
			return nil, fmt.Errorf("the private key of %.12s is published", id)
		}
		key, err := k.parse()
		if errors.Is(err, errType) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the key %.12s %w", id, err)
		}
		a.keys[id] = key
	}
	var err error
	a.db, err = a.database(roles, func(*publicKey) bool { return true })
	return a, err
}

// database is the roles with those of the keys that are accepted.
func (a *authority) database(roles map[string]wireRole, accept func(*publicKey) bool) (*verify.DB, error) {
	db := verify.NewDB()
	for name, role := range roles {
		if ids := slices.Sorted(slices.Values(role.KeyIDs)); len(slices.Compact(ids)) != len(role.KeyIDs) {
			return nil, fmt.Errorf("the role %.80q has a key twice", name)
		}
		for _, id := range role.KeyIDs {
			key, ok := a.keys[id]
			if !ok || !accept(key) {
				continue
			}
			wire, err := key.forTUF()
			if err == nil {
				err = db.AddKey(id, wire)
			}
			if err != nil {
				return nil, fmt.Errorf("the key %.12s: %w", id, err)
			}
		}
		if err := db.AddRole(name, &data.Role{KeyIDs: role.KeyIDs, Threshold: role.Threshold}); err != nil {
			return nil, fmt.Errorf("the role %.80q: %w", name, err)
		}
	}
	return db, nil
}

// verifyWith tells whether a document is of its role and has signatures of as
// many of the role's keys as it needs.
func verifyWith(db *verify.DB, d *document) *validator.Error {
	signed, err := d.forTUF()
	if err == nil {
		err = db.VerifyIgnoreExpiredCheck(signed, d.role, 1)
	}
	var (
		threshold verify.ErrRoleThreshold
		unknown   verify.ErrUnknownRole
		version   verify.ErrLowVersion
	)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, verify.ErrNoSignatures), errors.As(err, &threshold):
		return validator.Errorf(validator.InvalidTrustData, "the %s of its trust data has too few valid signatures of that role's keys", d.role)
	case errors.As(err, &unknown):
		return validator.Errorf(validator.InvalidTrustData, "its trust data names no keys for the %s", d.role)
	case errors.Is(err, verify.ErrWrongMetaType):
		return validator.Errorf(validator.InvalidTrustData, "the %s of its trust data is in fact of another role, %s", d.role, validator.Quote(d.Type))
	case errors.As(err, &version):
		return validator.Errorf(validator.InvalidTrustData, "the %s of its trust data has the version %d, and the first is 1", d.role, d.Version)
	}
	return validator.Errorf(validator.InvalidTrustData, "the %s of its trust data cannot be verified: %s", d.role, validator.Quote(err.Error()))
}
