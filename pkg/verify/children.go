package verify

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// Owners finds the objects that have made others.
type Owners interface {
	// Owner is the object of the namespace as the cluster has it; the error says
	// why it is not known.
	Owner(ctx context.Context, namespace string, ref metav1.OwnerReference) (*workload.Workload, error)
}

// ownerTimeout bounds the look-up of an owner. What is not found by then is
// verified.
const ownerTimeout = time.Second

// children are the images of a workload that its owner has too: the object that
// claims to have made it, as the cluster has it. The nil pointer has none.
type children struct {
	owner  *workload.Workload
	images workload.Set
	// trusted tells that the owner's word is enough.
	trusted bool
	maxAge  time.Duration
}

// childrenOf finds the images that may be approved because the workload's owner
// has them. Whatever goes wrong, there are none, and they are verified. A claim
// of the object itself counts for nothing.
func (e Engine) childrenOf(ctx context.Context, snapshot *Snapshot, req Request) *children {
	approval := snapshot.Features.ChildApproval()
	claimed := req.Workload.Controller()
	if approval == feature.NoChildren || snapshot.Features.PodsOnly() || claimed == nil || e.Owners == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ownerTimeout)
	defer cancel()
	owner, err := e.Owners.Owner(ctx, req.Namespace, *claimed)
	if err != nil || owner == nil || owner.UID == "" || owner.UID != claimed.UID {
		return nil
	}
	return &children{owner: owner, images: owner.ImageSet(), trusted: approval == feature.TrustedOwners, maxAge: snapshot.Features.Approval.MaxAge()}
}

// has tells whether the owner has the reference in every list in which the
// workload has it.
func (c *children) has(w *workload.Workload, reference string) bool {
	if c == nil {
		return false
	}
	for _, img := range w.Images {
		if img.Reference == reference && !c.images.Has(img) {
			return false
		}
	}
	return true
}

// inherit approves an image that the workload's owner has, pinned by digest, if
// that digest was verified by the rule that applies, with what it depends on as it
// is now; or if the owner's word is enough. applies tells that the rule is known to
// apply, and is not only that of a tag which nobody could look up.
func (v *ImageVerdict) inherit(c *children, req Request, applies bool) bool {
	if v.Rule == nil || v.Reference.Digest() == "" || !c.has(req.Workload, v.Reference.Original()) {
		return false
	}
	if c.trusted {
		v.Outcome = Skipped
		v.Message = fmt.Sprintf("its owner, %s, has it, whose word is enough (automaticChildApproval: trustOwners in config-features)", c.owner)
		return true
	}
	if !applies || v.Rule.Memory == nil {
		return false
	}
	known, ok := v.Rule.Memory.Known(v.Rule.request(v.Reference, req.Identity), c.maxAge)
	if !ok || known.Digest != v.Reference.Digest() {
		return false
	}
	v.conclude(known, nil)
	return v.Outcome == Trusted
}
