package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/record"
	"knative.dev/pkg/webhook"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// The paths of the webhooks.
const (
	MutatePath   = "/mutate"
	ValidatePath = "/validate"
	ConfigPath   = "/config"
)

// Snapshots gives the configuration in force, or says why there is none.
type Snapshots func() (*verify.Snapshot, error)

// Handler answers admission requests about workloads. It implements
// knative.dev/pkg/webhook.AdmissionController.
type Handler struct {
	// The configuration is read from ConfigMaps by informers; before it has
	// been, Snapshots says so.
	webhook.StatelessAdmissionImpl

	path        string
	mutates     bool
	engine      verify.Engine
	snapshots   Snapshots
	instruments *observability.Instruments
	logger      *zap.Logger
	events      record.EventRecorder // nil for none
	namespace   string               // that of the ConfigMaps
	findings    Findings             // nil for none
	alerts      Alerts               // nil for none
	patience    time.Duration        // with kinds that are not known (yet)

	workloadEvents *WorkloadEvents
}

var (
	_ webhook.AdmissionController          = (*Handler)(nil)
	_ webhook.StatelessAdmissionController = (*Handler)(nil)
)

// NewMutating makes the handler that pins references to verified digests.
func NewMutating(engine verify.Engine, snapshots Snapshots, instruments *observability.Instruments, logger *zap.Logger) *Handler {
	h := NewValidating(engine, snapshots, instruments, logger)
	h.path, h.mutates = MutatePath, true
	return h
}

// NewValidating makes the handler that sees what will be stored: it denies
// what is not verified, and what should be pinned but is not.
func NewValidating(engine verify.Engine, snapshots Snapshots, instruments *observability.Instruments, logger *zap.Logger) *Handler {
	if engine.Now == nil {
		engine.Now = time.Now
	}
	// The caller would always be the same, and looking for it through the stack
	// costs time for every line.
	logger = logger.WithOptions(zap.WithCaller(false))
	return &Handler{path: ValidatePath, engine: engine, snapshots: snapshots, instruments: instruments, logger: logger}
}

// Path is where the handler is served.
func (h *Handler) Path() string { return h.path }

// Admit answers a request. It always answers, and in time: what goes wrong
// denies.
func (h *Handler) Admit(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	response, _, _ := h.Decide(ctx, req)
	return response
}

// Decide is Admit for those who want to know the outcome too, as it is logged, and
// about each image. The verdict is nil if none was reached.
func (h *Handler) Decide(ctx context.Context, req *admissionv1.AdmissionRequest) (response *admissionv1.AdmissionResponse, verdict *verify.Verdict, outcome string) {
	if !plausible(req) {
		h.logger.Warn("A request is denied that no API server can have sent")
		return denial("the request has names that no API server sends (" + string(validator.TooLarge) + ")"), nil, verify.Denied.String()
	}
	start := h.engine.Now()
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	d := decision{request: req}
	defer func() {
		if p := recover(); p != nil {
			d.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()), "the request could not be processed; Connaisseur's log has the details")
			response, verdict = d.response, nil
		}
		d.took = h.engine.Now().Sub(start)
		h.tell(ctx, &d)
		response, verdict, outcome = d.response, d.verdict, d.outcome()
		h.record(ctx, &d, outcome)
		h.leaveEvents(&d, outcome)
	}()
	h.decide(ctx, &d)
	return d.response, d.verdict, d.outcome()
}

// maxNames bounds, in bytes, what API servers say about a request and its object, but
// for the object's name, which is anybody's.
const maxNames = 4 << 10

// plausible tells whether an API server may have sent the request. Whoever else
// reaches the port must not fill what is remembered by namespace, or waits to be told.
func plausible(req *admissionv1.AdmissionRequest) bool {
	n := len(req.UID) + len(req.Namespace) + len(req.Operation)
	for _, name := range []string{req.Kind.Group, req.Kind.Version, req.Kind.Kind, req.Resource.Group, req.Resource.Version, req.Resource.Resource} {
		n += len(name)
	}
	return n <= maxNames
}

// decide fills in the decision's verdict and response.
func (h *Handler) decide(ctx context.Context, d *decision) {
	if op := d.request.Operation; op == admissionv1.Delete || op == admissionv1.Connect {
		d.response = &admissionv1.AdmissionResponse{Allowed: true} // nothing is started by it
		return
	}
	snapshot, kinds, settling, err := h.configuration(ctx, gvkOf(d.request))
	if err != nil {
		d.fail(err, "no image could be checked: %v", err)
		return
	}
	d.by(snapshot.Features)
	req, err := request(kinds, d.request)
	if err != nil {
		d.fail(err, "no image could be checked: %v", err)
		return
	}
	d.verdict = h.engine.Verify(ctx, snapshot, req)
	if h.mutates {
		d.pin()
	} else {
		// While a kind is settling, this webhook may have been asked and the other not.
		d.demandPins(settling)
	}
}

// Patient has requests about a kind that is not known wait a second for a
// configuration that knows it.
func (h *Handler) Patient() *Handler {
	h.patience = time.Second
	return h
}

// configuration is the one in force, and the kinds to read an object of this kind
// with. API servers hear of another list of kinds from the leader, and so sooner
// than this replica or later. A kind that is not listed any more is read as it was;
// for one that may have been listed just now this waits.
func (h *Handler) configuration(ctx context.Context, gvk schema.GroupVersionKind) (snapshot *verify.Snapshot, kinds workload.Kinds, settling bool, err error) {
	until := time.Now().Add(h.patience)
	for {
		if snapshot, err = h.snapshots(); err != nil {
			return nil, workload.Kinds{}, false, err
		}
		kinds, settling = snapshot.Settling.Find(gvk, h.engine.Now())
		switch {
		case snapshot.Workloads.Reads(gvk):
			return snapshot, snapshot.Workloads, settling, nil
		case settling:
			return snapshot, kinds, true, nil
		case !workload.Listable(gvk.GroupKind()), !pause(ctx, until):
			return snapshot, snapshot.Workloads, false, nil
		}
	}
}

// pause lets a moment pass, unless it is too late for that.
func pause(ctx context.Context, until time.Time) bool {
	if !time.Now().Before(until) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(20 * time.Millisecond):
		return true
	}
}

func gvkOf(req *admissionv1.AdmissionRequest) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: req.Kind.Group, Version: req.Kind.Version, Kind: req.Kind.Kind}
}

// maxImages bounds the images of one object, so that there is time to look at
// them all. It is far above what any node could run as one Pod.
const maxImages = 500

// request is what the engine is asked about an admission request.
func request(kinds workload.Kinds, req *admissionv1.AdmissionRequest) (verify.Request, error) {
	gvk := gvkOf(req)
	w, err := kinds.Extract(gvk, req.Object.Raw)
	switch {
	case errors.Is(err, workload.ErrTooManyImages):
		return verify.Request{}, validator.Errorf(validator.TooLarge, "%w, and no more than %d are checked", err, maxImages)
	case err != nil:
		return verify.Request{}, err
	}
	w.Namespace = req.Namespace // whatever the object says
	if w.Name == "" {
		w.Name = req.Name
	}
	out := verify.Request{
		Workload:  w,
		Namespace: req.Namespace,
		Identity:  validator.PullIdentity(req.Namespace, w.ServiceAccount, w.PullSecrets),
	}
	if req.Operation == admissionv1.Update {
		if out.Old, err = kinds.Extract(gvk, req.OldObject.Raw); err != nil {
			return verify.Request{}, fmt.Errorf("the object as it was before: %w", err)
		}
	}
	leaves := w.Deleting && out.Old != nil && out.Old.ImageSet().HasAll(w) // the engine lets it go unchecked
	if len(w.Images) > maxImages && !leaves {
		return verify.Request{}, validator.Errorf(validator.TooLarge, "the object has %d images, and no more than %d are checked", len(w.Images), maxImages)
	}
	return out, nil
}

// maxLoggedMessage bounds, in bytes, the message of one log line.
const maxLoggedMessage = 16 << 10

// record leaves the decision's traces: metrics and one line in the log.
func (h *Handler) record(ctx context.Context, d *decision, outcome string) {
	reason := d.reason()
	h.instruments.Admission(ctx, h.path, outcome, string(reason), d.took)
	if h.mutates {
		h.instruments.PredecessorRequest(d.response.Allowed, reason == validator.Timeout)
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(d.attributes(outcome, reason)...)
	}
	fields := append(make([]zap.Field, 0, 16), // room for those that follow
		zap.String("webhook", h.path),
		zap.String("uid", string(d.request.UID)),
		zap.String("operation", string(d.request.Operation)),
		zap.String("kind", d.request.Kind.Kind),
		zap.String("namespace", d.request.Namespace),
		zap.String("name", d.name()),
		zap.String("user", d.request.UserInfo.Username),
		zap.Bool("allowed", d.response.Allowed),
		zap.String("outcome", outcome),
		zap.Duration("took", d.took),
	)
	if d.request.DryRun != nil && *d.request.DryRun {
		fields = append(fields, zap.Bool("dryRun", true))
	}
	if reason != "" {
		message := d.message()
		fields = append(fields, zap.String("reason", string(reason)), zap.String("message", message[:min(len(message), maxLoggedMessage)]))
	}
	if d.err != nil {
		fields = append(fields, zap.Error(d.err))
	}
	if d.verdict != nil {
		if tolerated := d.tolerated(); tolerated != "" {
			fields = append(fields, zap.String("tolerated", tolerated))
		}
		fields = append(fields, zap.String("revision", d.verdict.Revision), zap.Array("images", imageLog(d.verdict.Images)))
		for i := range d.verdict.Images {
			img := &d.verdict.Images[i]
			h.measure(ctx, img)
		}
	}
	h.logger.Info("decided", fields...)
}

// measure counts a decision about an image.
func (h *Handler) measure(ctx context.Context, img *verify.ImageVerdict) {
	measured := observability.Image{Outcome: img.Outcome.String(), Reason: string(img.Reason), Cached: img.Cached, Took: img.Duration}
	if img.Rule != nil {
		measured.ValidatorType, measured.ValidatorName = img.Rule.ValidatorType, img.Rule.ValidatorName
	}
	h.instruments.Image(ctx, measured)
	if h.mutates {
		h.instruments.PredecessorImage(measured, img.Admitted(), img.Outcome == verify.Skipped, img.Reason == validator.Timeout)
	}
}
