package finding

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/verify"
)

// Admission is the data of an event about an admission request. Nothing in it is a
// secret.
type Admission struct {
	Request Request `json:"request"`
	// User is the name of whoever asked.
	User string `json:"user"`
	// Namespace is that of the workload; empty for what is in none.
	Namespace string   `json:"namespace,omitempty"`
	Workload  Workload `json:"workload"`
	// PolicyRevision is that of the configuration that decided; empty if there was
	// none.
	PolicyRevision string `json:"policyRevision,omitempty"`
	// Allowed tells whether the workload was let in.
	Allowed bool `json:"allowed"`
	// Outcome is one word for what was decided, as in metrics and log.
	Outcome string `json:"outcome"`
	// Reason is one word for why, if something is wrong.
	Reason string `json:"reason,omitempty"`
	// Message is what the user was told, if something is wrong.
	Message string `json:"message,omitempty"`
	// DurationSeconds is how long the decision took.
	DurationSeconds float64 `json:"durationSeconds"`
	// ImageCount is how many images the workload has; Images has the first of
	// them, before all those with which something is wrong.
	ImageCount int     `json:"imageCount"`
	Images     []Image `json:"images,omitempty"`

	// Type is the event's.
	Type Type `json:"-"`
	// Time is when it was decided.
	Time time.Time `json:"-"`

	identity string // of all images
	resource string // the workload's path in the API
}

// Request is an admission request.
type Request struct {
	UID       string `json:"uid"`
	Operation string `json:"operation"`
	// Webhook is the path of the webhook that answered.
	Webhook string `json:"webhook"`
}

// Workload is the object of an admission request. When it is about to be created, it
// may have no UID yet, and of its name no more than generateName.
type Workload struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Name       string `json:"name,omitempty"`
	UID        string `json:"uid,omitempty"`
	// Owner is the object that manages this one, as it claims: "ReplicaSet web-5d9".
	Owner string `json:"owner,omitempty"`
}

// Image is what was decided about one image.
type Image struct {
	// Field is where it stands: spec.containers[0].image.
	Field string `json:"field"`
	// Reference is what stood there when it was decided.
	Reference string `json:"reference"`
	// Digest is what was verified.
	Digest string `json:"digest,omitempty"`
	// Rule and Pattern are those of the rule that applied.
	Rule      *int   `json:"rule,omitempty"`
	Pattern   string `json:"pattern,omitempty"`
	Validator string `json:"validator,omitempty"`
	// TrustRoots have signed it, and Signers did so for them.
	TrustRoots []string `json:"trustRoots,omitempty"`
	Signers    []string `json:"signers,omitempty"`
	Outcome    string   `json:"outcome"`
	Reason     string   `json:"reason,omitempty"`
	Message    string   `json:"message,omitempty"`
	// Tolerated is why it was let in although something is wrong with it.
	Tolerated string `json:"tolerated,omitempty"`
	// Exception is the index in the policy of the one that let it in.
	Exception *int `json:"exception,omitempty"`
	// Warnings say what is wrong with its signatures, and was let pass.
	Warnings []string `json:"warnings,omitempty"`
	Cached   bool     `json:"cached"`
	// DurationSeconds is how long it took to decide.
	DurationSeconds float64 `json:"durationSeconds"`
}

// An event has room for so many images, and messages of so many bytes.
const (
	maxImages  = 50
	maxMessage = 4 << 10
	maxShort   = 1 << 10
	maxNames   = 8
	// maxName is what Kubernetes takes. Before an object is validated its name may be
	// anything of any length.
	maxName = 253
)

// NewAdmission begins an event about a request. verdict is nil if none was reached.
func NewAdmission(webhook string, req *admissionv1.AdmissionRequest, verdict *verify.Verdict) *Admission {
	a := &Admission{
		Request:   Request{UID: string(req.UID), Operation: string(req.Operation), Webhook: webhook},
		User:      short(req.UserInfo.Username),
		Namespace: req.Namespace,
		Workload: Workload{
			APIVersion: strings.TrimPrefix(req.Kind.Group+"/"+req.Kind.Version, "/"),
			Kind:       req.Kind.Kind,
			Name:       cut(req.Name, maxName),
		},
		resource: resource(req),
	}
	if verdict != nil {
		a.take(verdict)
	}
	return a
}

// resource is the path in the API of the objects that a request is about one of.
func resource(req *admissionv1.AdmissionRequest) string {
	path := "/apis/" + req.Resource.Group + "/" + req.Resource.Version
	if req.Resource.Group == "" {
		path = "/api/" + req.Resource.Version
	}
	if req.Namespace != "" {
		path += "/namespaces/" + req.Namespace
	}
	return path + "/" + req.Resource.Resource
}

func (a *Admission) take(v *verify.Verdict) {
	a.PolicyRevision = v.Revision
	a.Workload.Name = cmp.Or(a.Workload.Name, cut(v.Workload.Name, maxName))
	a.Workload.UID = short(string(v.Workload.UID))
	if owner := v.Workload.Controller(); owner != nil {
		a.Workload.Owner = short(owner.Kind + " " + owner.Name)
	}
	a.ImageCount = len(v.Images)
	var refused, weak, right []Image
	identities := make([][]byte, len(v.Images))
	for i := range v.Images {
		img := &v.Images[i]
		tolerance := v.Tolerance(img)
		sum := sha256.Sum256([]byte(strings.Join([]string{img.Image.Field, img.Image.Reference, string(img.Digest), img.Outcome.String(), string(img.Reason)}, "\x00")))
		identities[i] = sum[:]
		list := &right
		switch {
		case !img.Admitted():
			list = &refused
		case len(img.Warnings) > 0:
			list = &weak
		}
		if len(*list) < maxImages {
			*list = append(*list, newImage(img, tolerance))
		}
	}
	a.Images = slices.Concat(refused, weak, right)
	a.Images = a.Images[:min(len(a.Images), maxImages)]
	slices.SortFunc(identities, bytes.Compare)
	a.identity = hex.EncodeToString(bytes.Join(identities, nil))
}

func newImage(v *verify.ImageVerdict, tolerance verify.Tolerance) Image {
	img := Image{
		Field:           short(v.Image.Field),
		Reference:       short(v.Image.Reference),
		Digest:          string(v.Digest),
		TrustRoots:      v.TrustRoots[:min(len(v.TrustRoots), maxNames)],
		Outcome:         v.Outcome.String(),
		Reason:          string(v.Reason),
		Message:         short(v.Message),
		Tolerated:       string(tolerance),
		Cached:          v.Cached,
		DurationSeconds: v.Duration.Seconds(),
	}
	for _, signer := range v.Signers[:min(len(v.Signers), maxNames)] {
		img.Signers = append(img.Signers, short(signer))
	}
	for _, warning := range v.Warnings[:min(len(v.Warnings), maxNames)] {
		img.Warnings = append(img.Warnings, short(warning))
	}
	if v.Rule != nil {
		img.Rule, img.Pattern, img.Validator = &v.Rule.Index, short(v.Rule.Pattern), v.Rule.ValidatorName
	}
	if tolerance == verify.Excepted && v.Exception != nil {
		img.Exception = &v.Exception.Index
	}
	return img
}

// SetMessage sets what the user was told.
func (a *Admission) SetMessage(message string) { a.Message = cut(message, maxMessage) }

// Weak tells whether an image was let in with a signature that is not good.
func (a *Admission) Weak() bool {
	return slices.ContainsFunc(a.Images, func(img Image) bool { return len(img.Warnings) > 0 })
}

// Subject is the workload's path in the API.
func (a *Admission) Subject() string {
	if a.Workload.Name == "" {
		return a.resource
	}
	return a.resource + "/" + url.PathEscape(a.Workload.Name)
}

// ID is the same for whatever is the same finding: when a controller tries again,
// when an object is updated without a change of its images, whichever replica
// answers.
func (a *Admission) ID() string {
	return id(string(a.Type), a.Subject(), a.Workload.UID, a.Outcome, a.Reason, a.PolicyRevision, a.identity)
}

func id(parts ...string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:16])
}

func short(s string) string { return cut(s, maxShort) }

// cut bounds a text in bytes.
func cut(s string, to int) string {
	if len(s) <= to {
		return s
	}
	return strings.ToValidUTF8(s[:to], "") + "…"
}
