package notaryv1

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/registry"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/validator/notaryv1/dct"
)

// delegated loads the delegations that the rule looks at, and those between them
// and the role targets. One that does not exist, or was never published, is left
// out.
func (l *loader) delegated(ctx context.Context, r *repository) (*repository, *validator.Error) {
	for _, level := range levels(l.delegations) {
		wanted := slices.DeleteFunc(level, func(role string) bool {
			parent := r.targets[dct.Parent(role)]
			return r.targets[role] != nil || parent == nil || !parent.Delegates(role) || !r.snapshot.Has(role)
		})
		if len(wanted) == 0 {
			continue
		}
		got := &files{}
		got.fetch(ctx, l, wanted...)
		more, bytes := map[string]*dct.Targets{}, 0
		for _, role := range wanted {
			f := got.of(role)
			if f.err != nil && !errors.Is(f.err, registry.ErrNoTrustData) {
				return nil, validator.AsError(f.err)
			}
			raw, failure := l.belonging(ctx, r.snapshot, role, f.raw)
			if failure != nil {
				return nil, failure
			}
			bytes += len(raw)
			if more[role], failure = r.targets[dct.Parent(role)].Delegated(r.snapshot, role, raw, l.now); failure != nil {
				return nil, failure
			}
		}
		r = r.with(more, bytes)
	}
	return r, nil
}

// levels lists delegations and all that lead to them, by how many that are; the
// usual one if none is named.
func levels(delegations []string) (all [][]string) {
	if len(delegations) == 0 {
		return [][]string{{releases}}
	}
	for _, role := range delegations {
		for ; role != dct.TargetsRole; role = dct.Parent(role) {
			depth := strings.Count(role, "/")
			for len(all) < depth {
				all = append(all, nil)
			}
			if !slices.Contains(all[depth-1], role) {
				all[depth-1] = append(all[depth-1], role)
			}
		}
	}
	return all
}
