package workload

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// ContainerKind tells in which list of a pod spec an image stands. In a custom
// resource it begins with the path by which the pod spec was found; for an image
// field it is the path alone.
type ContainerKind string

// The lists of a pod spec that hold images.
const (
	Container          ContainerKind = "containers"
	InitContainer      ContainerKind = "initContainers"
	EphemeralContainer ContainerKind = "ephemeralContainers"
	ImageVolume        ContainerKind = "volumes"
)

// maxImages bounds the images of one object: an empty container takes three bytes
// of JSON, and a hundred times as much when it is listed.
const maxImages = 10_000

// ErrTooManyImages says of an object that its images are not even listed.
var ErrTooManyImages = fmt.Errorf("the object has more than %d images", maxImages)

// Image is an image of a workload and where it stands.
type Image struct {
	// Reference is the image field as it is in the object. Where something else
	// stands that cannot be an image, it says in parentheses what, which is no valid
	// reference.
	Reference string
	// Kind is the list that holds the container or volume.
	Kind ContainerKind
	// Name is the container's or volume's name; empty for other image fields.
	Name string
	// Field is the path of the image field as kubectl writes it:
	// spec.containers[0].image.
	Field string
	// Pointer is the same as an RFC 6901 JSON pointer, for patches.
	Pointer string
}

// Workload is what matters of an object here. It is not modified after Extract.
type Workload struct {
	Kind      schema.GroupVersionKind
	Namespace string
	Name      string
	// UID tells the object from one of the same name before or after it; empty
	// before it is stored.
	UID types.UID
	// Owners are the object's owners, as it claims them.
	Owners []metav1.OwnerReference
	// Deleting tells that the object is already marked for deletion.
	Deleting bool
	// ServiceAccount and PullSecrets are the pod's pull identity.
	ServiceAccount string
	PullSecrets    []string
	// RevisionName is the name that a Knative Service or Configuration fixes for its
	// next revision; empty if Knative is to make one up.
	RevisionName string
	// Images are in the order of the object: init containers, containers,
	// ephemeral containers, volumes.
	Images []Image
}

// String names the workload for messages: "Deployment prod/web".
func (w *Workload) String() string {
	name := w.Name
	if w.Namespace != "" {
		name = w.Namespace + "/" + name
	}
	return w.Kind.Kind + " " + name
}

// Controller is the object that manages this one, as it claims; nil if none does.
func (w *Workload) Controller() *metav1.OwnerReference {
	for i := range w.Owners {
		if owner := &w.Owners[i]; owner.Controller != nil && *owner.Controller {
			return owner
		}
	}
	return nil
}

// Fixed tells whether the references in the object must stay as they are written,
// because somebody compares them: the controller that made it, with its own
// template; or Knative, which refuses another template under the same
// revision name, so that applying the manifest again would fail. What is made from
// such an object is pinned instead.
//
// A Knative Revision is not fixed, although a Configuration has made it. Knative
// looks for the Revision of a template by the generation in its label, and
// compares the specs only when a template returns to the name of an older
// generation's Revision. Where that one was pinned and the template was not,
// Knative calls the name taken (RevisionNameTaken), and changes nothing that
// runs. The rule's mode mutatePodsOnly is for those who need to return like that.
func (w *Workload) Fixed() bool {
	switch {
	case w.IsPod(), w.Kind.GroupKind() == revision:
		return false
	case w.Controller() != nil:
		return true
	}
	return w.RevisionName != ""
}

// IsPod tells whether the object is a Pod itself, and not a template for some.
func (w *Workload) IsPod() bool { return w.Kind.Group == "" && w.Kind.Kind == "Pod" }

// Set holds the images that a workload has, by list and reference.
type Set map[imageKey]struct{}

type imageKey struct {
	kind      ContainerKind
	reference string
}

// ImageSet is the set of the workload's images; that of a nil workload is
// empty.
func (w *Workload) ImageSet() Set {
	if w == nil {
		return nil
	}
	set := make(Set, len(w.Images))
	for _, img := range w.Images {
		set[imageKey{img.Kind, img.Reference}] = struct{}{}
	}
	return set
}

// Has tells whether the image stands in the set: in the same list, spelled the
// same.
func (s Set) Has(img Image) bool {
	_, ok := s[imageKey{img.Kind, img.Reference}]
	return ok
}

// HasAll tells whether every one of the workload's images stands in the set.
func (s Set) HasAll(w *Workload) bool {
	for _, img := range w.Images {
		if !s.Has(img) {
			return false
		}
	}
	return true
}
