package notaryv1

import (
	"context"
	"errors"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

// parallel bounds the files that are fetched at a time.
const parallel = 64

// file is what came of fetching one: bytes that are not verified.
type file struct {
	raw []byte
	err error
}

// files are the newest files of roles, as they were fetched.
type files struct{ fetched map[string]file }

func (f *files) of(role string) file { return f.fetched[role] }

// fetch fetches those of the roles that are not there yet, all at once.
func (f *files) fetch(ctx context.Context, l *loader, roles ...string) {
	got := make([]file, len(roles))
	var group errgroup.Group
	group.SetLimit(parallel)
	for i, role := range roles {
		if _, ok := f.fetched[role]; ok {
			continue
		}
		group.Go(func() error {
			got[i].raw, got[i].err = l.get(ctx, role, limitOf(role), true)
			return nil
		})
	}
	_ = group.Wait() // errors are in the files
	if f.fetched == nil {
		f.fetched = map[string]file{}
	}
	for i, role := range roles {
		if _, ok := f.fetched[role]; !ok {
			f.fetched[role] = got[i]
		}
	}
}

// complete tells whether all files are there. A server that has none at all says
// that nothing was signed.
func (f *files) complete(l *loader) *validator.Error {
	var missing []string
	var failure *validator.Error
	for _, role := range []string{dct.RootRole, dct.TimestampRole, dct.SnapshotRole, dct.TargetsRole} {
		err := f.fetched[role].err
		switch {
		case errors.Is(err, registry.ErrNoTrustData):
			missing = append(missing, role)
		case err != nil && (failure == nil || !failure.Reason.Inconclusive()):
			failure = validator.AsError(err)
		}
	}
	switch {
	case failure != nil:
		return failure
	case len(missing) == 4:
		return validator.Errorf(validator.NoSignature, "notary server %s has no trust data for %s", l.server, l.name)
	case len(missing) > 0:
		return validator.Errorf(validator.InvalidTrustData, "notary server %s has trust data for %s, but without %s", l.server, l.name, strings.Join(missing, ", "))
	}
	return nil
}

// limitOf is the most bytes that a role's file may have; that of a version is
// called VERSION.ROLE.
func limitOf(role string) int64 {
	switch role[strings.LastIndexByte(role, '.')+1:] {
	case dct.RootRole:
		return dct.MaxRootBytes
	case dct.TimestampRole:
		return dct.MaxTimestampBytes
	case dct.SnapshotRole:
		return dct.MaxSnapshotBytes
	}
	return dct.MaxTargetsBytes
}

// asMissing is why a file is not there that should be.
func asMissing(name string, err error) *validator.Error {
	if errors.Is(err, registry.ErrNoTrustData) {
		return validator.Errorf(validator.InvalidTrustData, "the notary server lacks %s", name)
	}
	return validator.AsError(err)
}
