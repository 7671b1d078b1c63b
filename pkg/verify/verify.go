package verify

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// maxConcurrent bounds how many images of one workload are verified at a time.
const maxConcurrent = 64

// Request is a workload that somebody wants to create or update.
type Request struct {
	Workload *workload.Workload
	// Old is the object before an update; nil when it is created.
	Old *workload.Workload
	// Namespace is where the workload will be, whatever the object says.
	Namespace string
	// Identity is whose pull credentials may be used, by rules that use such.
	Identity validator.Identity
}

// Engine decides. It holds no configuration: that is the snapshot's.
type Engine struct {
	// Now is the clock that durations are measured with; time.Now if nil.
	Now func() time.Time
	// Owners finds the objects that have made others. Nil finds none, so that each
	// is verified by itself.
	Owners Owners
}

func (e Engine) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// Verify decides about each image of the workload. It answers when ctx ends:
// images that are still open by then are inconclusive.
func (e Engine) Verify(ctx context.Context, snapshot *Snapshot, req Request) *Verdict {
	old := req.Old.ImageSet()
	verdict := &Verdict{
		Workload:       req.Workload,
		Revision:       snapshot.Revision,
		NothingChanged: req.Old != nil && old.HasAll(req.Workload),
		PodsOnly:       snapshot.Features.PodsOnly(),
	}
	if verdict.Skipped = exemption(snapshot, req, verdict.NothingChanged); verdict.Skipped != "" {
		return verdict
	}
	verdict.Images = make([]ImageVerdict, len(req.Workload.Images))
	children := e.childrenOf(ctx, snapshot, req)
	// An image that stands in several containers is verified once.
	first := make(map[string]int, len(req.Workload.Images))
	var group errgroup.Group
	group.SetLimit(maxConcurrent)
	for i, img := range req.Workload.Images {
		if _, ok := first[img.Reference]; ok {
			continue
		}
		first[img.Reference] = i
		decide := func() error {
			verdict.Images[i] = e.image(ctx, snapshot, req, img.Reference, children)
			return nil
		}
		if len(req.Workload.Images) == 1 {
			_ = decide() // no goroutine for the most frequent case
		} else {
			group.Go(decide)
		}
	}
	_ = group.Wait() // what fails is in the verdicts
	for i, img := range req.Workload.Images {
		verdict.Images[i] = verdict.Images[first[img.Reference]]
		verdict.Images[i].Image = img
		verdict.Images[i].Unchanged = old.Has(img)
	}
	return verdict
}

// exemption says why nothing of the workload is looked at; empty means that
// everything is.
func exemption(snapshot *Snapshot, req Request, nothingChanged bool) string {
	switch {
	case req.Namespace != "" && req.Namespace == snapshot.Namespace:
		return fmt.Sprintf("namespace %q is where Connaisseur itself runs", req.Namespace)
	case snapshot.Features.Excludes(req.Namespace):
		return fmt.Sprintf("namespace %q is excluded by excludedNamespaces in config-features", req.Namespace)
	case req.Workload.Deleting && nothingChanged:
		return "the object is being deleted, and none of its images changed"
	case nothingChanged && snapshot.Features.AutomaticUnchangedApproval:
		return "the update changes no image (automaticUnchangedApproval in config-features)"
	}
	return ""
}

// image decides about one image. A panic denies this image and nothing else.
func (e Engine) image(ctx context.Context, snapshot *Snapshot, req Request, reference string, children *children) (verdict ImageVerdict) {
	start := e.now()
	detects := false
	ctx, span := observability.StartSpan(ctx, observability.SpanImage)
	defer func() {
		if p := recover(); p != nil {
			verdict.fail(&validator.Error{
				Reason:  validator.Internal,
				Message: "the verification failed unexpectedly; the log has the details",
				Err:     fmt.Errorf("panic: %v\n%s", p, debug.Stack()),
			})
		}
		verdict.Lenience, verdict.Exception = snapshot.Lenience(verdict.Reference, req.Namespace, req.Workload.IsPod(), detects, e.now())
		verdict.Duration = e.now().Sub(start)
		if span.IsRecording() {
			span.SetAttributes(verdict.attributes(reference)...)
		}
		span.End()
	}()
	ref, err := image.Parse(reference)
	if err != nil {
		verdict.fail(validator.Errorf(validator.InvalidReference, "%w", err))
		return verdict
	}
	verdict.Reference = ref
	rule, failure := matching(ctx, snapshot, req, ref)
	verdict.Rule, detects = rule, failure == nil && rule.Detection
	switch {
	case verdict.inherit(children, req, failure == nil):
		return verdict
	case failure == nil:
		result, err := rule.Validator.Validate(ctx, rule.request(ref, req.Identity))
		verdict.conclude(result, err)
	default:
		verdict.fail(failure)
	}
	verdict.recall(snapshot, req)
	return verdict
}

// recall takes what was verified before for what cannot be checked just now, if
// that is what the configuration wants. Pull secrets of the workload's own that do
// not work are no outage: whoever brings them could break them to have what was
// revoked admitted. Nor does a tag stand for what it stood for if it is not pinned.
func (v *ImageVerdict) recall(snapshot *Snapshot, req Request) {
	if v.Outcome != Inconclusive || v.Rule == nil || v.Rule.Memory == nil || snapshot.Features.OnInconclusive != feature.LastKnownGood {
		return
	}
	switch {
	case v.Rule.PullSecrets && v.Reason == validator.RegistryUnauthorized, v.Rule.Mode == InsecureValidateOnly && v.Reference.Digest() == "":
		return
	}
	known, ok := v.Rule.Memory.Known(v.Rule.request(v.Reference, req.Identity), snapshot.Features.LastKnownGood.MaxAge())
	if ok {
		v.LastKnownGood, v.Digest, v.TrustRoots, v.Signers = true, known.Digest, known.TrustRoots, known.Signers
	}
}

// matching is applicable, with a span.
func matching(ctx context.Context, snapshot *Snapshot, req Request, ref image.Reference) (*Rule, *validator.Error) {
	ctx, span := observability.StartSpan(ctx, observability.SpanMatch)
	defer span.End()
	return applicable(ctx, snapshot, req, ref)
}

// applicable finds the rule for an image. A rule that matched by the tag of a
// reference with a digest applies only if the tag stands for that digest: the
// runtime ignores such a tag, so that it could otherwise be used to choose a
// lenient rule.
func applicable(ctx context.Context, snapshot *Snapshot, req Request, ref image.Reference) (*Rule, *validator.Error) {
	if snapshot.Policy == nil {
		return nil, noMatch(ref)
	}
	match, ok := snapshot.Policy.Match(ref, req.Namespace)
	if ok && match.ByTag && ref.Digest() != "" {
		rule := &snapshot.Rules[match.Index]
		digest, err := rule.Resolver.Resolve(ctx, rule.request(ref, req.Identity))
		failure := validator.AsError(err)
		if failure != nil && failure.Reason.Inconclusive() {
			return rule, failure
		}
		if failure != nil || digest != ref.Digest() {
			match, ok = snapshot.Policy.Match(ref.WithoutTag(), req.Namespace)
		}
	}
	if !ok {
		return nil, noMatch(ref)
	}
	return &snapshot.Rules[match.Index], nil
}

func noMatch(ref image.Reference) *validator.Error {
	return validator.Errorf(validator.NoMatchingRule, "no rule of the policy matches %s, so it is denied", ref)
}

// conclude takes over what a validator established.
func (v *ImageVerdict) conclude(result validator.Result, err error) {
	switch {
	case err != nil:
		v.fail(validator.AsError(err))
	case result.Allowed:
		v.Outcome = Allowed
		v.Message = "the policy allows it without a signature"
	case result.Digest == "":
		v.fail(validator.Errorf(validator.Internal, "the validator named no digest"))
	case v.Reference.Digest() != "" && result.Digest != v.Reference.Digest():
		v.fail(validator.Errorf(validator.DigestMismatch, "%s is signed, but the reference names another digest", result.Digest))
	default:
		v.Outcome = Trusted
		v.Digest, v.TrustRoots, v.Signers, v.Cached = result.Digest, result.TrustRoots, result.Signers, result.Cached
		v.Message = "a trusted signature was verified"
		if v.Warnings = result.Warnings; len(v.Warnings) > 0 {
			v.Message = "a signature was verified in a weaker way than it should be: " + strings.Join(v.Warnings, "; ")
		}
	}
}

// fail takes over why an image is not trusted.
func (v *ImageVerdict) fail(failure *validator.Error) {
	v.Outcome = Denied
	v.Message = failure.Message
	v.Reason, v.Err, v.Cached = failure.Reason, failure, failure.Cached
	if failure.Reason == validator.NoSignature {
		v.Message = fmt.Sprintf("Unable to find signed digest for image %s: %s", v.Reference.Original(), failure.Message)
	}
	if failure.Reason.Inconclusive() {
		v.Outcome = Inconclusive
		v.Message = "could not be checked, which says nothing about the image itself: " + failure.Message
	}
}
