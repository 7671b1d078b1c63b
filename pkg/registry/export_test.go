package registry

import (
	"context"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// Signatures are the candidates under the .sig tag alone.
func (a *Access) Signatures(ctx context.Context, ref image.Reference) ([]Candidate, error) {
	if !validDigest(ref.Digest()) {
		return nil, validator.Errorf(validator.InvalidReference, "no digest")
	}
	t, err := a.client.hosts.target(ref)
	if err != nil {
		return nil, err
	}
	ctx, end := a.client.begin(ctx)
	defer end()
	s := &search{access: a, target: t, ref: ref, limits: a.client.limits}
	return s.tagged(ctx, signatureForm)
}

// ShareBudget tells whether two clients are bounded together.
func ShareBudget(a, b *Client) bool { return a.budget == b.budget }
