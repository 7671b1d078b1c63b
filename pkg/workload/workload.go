package workload

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"
)

// ContainerKind tells in which list of a pod spec an image stands.
type ContainerKind string

// The lists of a pod spec that hold images.
const (
	Container          ContainerKind = "containers"
	InitContainer      ContainerKind = "initContainers"
	EphemeralContainer ContainerKind = "ephemeralContainers"
	ImageVolume        ContainerKind = "volumes"
)

// Image is an image of a workload and where it stands.
type Image struct {
	// Reference is the image field as it is in the object.
	Reference string
	// Kind is the list that holds the container or volume.
	Kind ContainerKind
	// Name is the container's or volume's name.
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

// IsPod tells whether the object is a Pod itself, and not a template for some.
func (w *Workload) IsPod() bool { return w.Kind.Group == "" && w.Kind.Kind == "Pod" }

// metadata is the part of an object's metadata that is looked at.
type metadata struct {
	Name              string                  `json:"name"`
	GenerateName      string                  `json:"generateName"`
	Namespace         string                  `json:"namespace"`
	UID               types.UID               `json:"uid"`
	DeletionTimestamp *string                 `json:"deletionTimestamp"`
	OwnerReferences   []metav1.OwnerReference `json:"ownerReferences"`
}

// container is the part of any kind of container that is looked at.
type container struct {
	Name  string `json:"name"`
	Image string `json:"image"`
}

// volume is the part of a volume that is looked at.
type volume struct {
	Name  string `json:"name"`
	Image *struct {
		Reference string `json:"reference"`
	} `json:"image"`
}

// podSpec is the part of a pod spec that is looked at. Decoding no more than
// this is several times faster than decoding the typed object.
type podSpec struct {
	ServiceAccountName  string      `json:"serviceAccountName"`
	ServiceAccount      string      `json:"serviceAccount"` // the same under its deprecated name
	InitContainers      []container `json:"initContainers"`
	Containers          []container `json:"containers"`
	EphemeralContainers []container `json:"ephemeralContainers"`
	Volumes             []volume    `json:"volumes"`
	ImagePullSecrets    []struct {
		Name string `json:"name"`
	} `json:"imagePullSecrets"`
}

// specs holds a pod spec at each place where one of the kinds has it.
type specs struct {
	podSpec
	Template    *podTemplate `json:"template"`
	JobTemplate *struct {
		Spec struct {
			Template podTemplate `json:"template"`
		} `json:"spec"`
	} `json:"jobTemplate"`
}

type podTemplate struct {
	Spec podSpec `json:"spec"`
}

type object struct {
	Metadata metadata `json:"metadata"`
	Spec     specs    `json:"spec"`
}

// Extract reads an object of one of the kinds that are covered. An object
// without any image is an error for none of them: its list is empty.
func Extract(gvk schema.GroupVersionKind, raw []byte) (*Workload, error) {
	k, ok := lookup(gvk.GroupKind())
	if !ok {
		return nil, fmt.Errorf("objects of kind %s are not covered: it is not known where their images stand", gvk.GroupKind())
	}
	if trimmed := bytes.TrimSpace(raw); !bytes.HasPrefix(trimmed, []byte("{")) {
		return nil, fmt.Errorf("the %s cannot be read: it is not a JSON object", gvk.Kind)
	}
	var obj object
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, &obj); err != nil {
		return nil, fmt.Errorf("the %s cannot be read: %w", gvk.Kind, err)
	}
	spec := obj.podSpec(k)
	w := &Workload{
		Kind:           gvk,
		Namespace:      obj.Metadata.Namespace,
		Name:           obj.Metadata.Name,
		UID:            obj.Metadata.UID,
		Owners:         obj.Metadata.OwnerReferences,
		Deleting:       obj.Metadata.DeletionTimestamp != nil,
		ServiceAccount: cmp.Or(spec.ServiceAccountName, spec.ServiceAccount),
	}
	if w.Name == "" {
		w.Name = obj.Metadata.GenerateName
	}
	for _, secret := range spec.ImagePullSecrets {
		w.PullSecrets = append(w.PullSecrets, secret.Name)
	}
	w.Images = spec.images(k.podSpec)
	return w, nil
}

// podSpec picks the pod spec of an object of kind k.
func (o *object) podSpec(k kind) *podSpec {
	switch len(k.podSpec) {
	case 1:
		return &o.Spec.podSpec
	case 3:
		if o.Spec.Template != nil {
			return &o.Spec.Template.Spec
		}
	case 5:
		if o.Spec.JobTemplate != nil {
			return &o.Spec.JobTemplate.Spec.Template.Spec
		}
	}
	return &podSpec{}
}

// images lists what a pod spec at the path runs.
func (s *podSpec) images(path []string) []Image {
	images := make([]Image, 0, len(s.InitContainers)+len(s.Containers)+len(s.EphemeralContainers))
	field, pointer := strings.Join(path, "."), "/"+strings.Join(path, "/")
	add := func(kind ContainerKind, i int, name, reference string, leaf ...string) {
		index := strconv.Itoa(i)
		images = append(images, Image{
			Reference: reference,
			Kind:      kind,
			Name:      name,
			Field:     field + "." + string(kind) + "[" + index + "]." + strings.Join(leaf, "."),
			Pointer:   pointer + "/" + string(kind) + "/" + index + "/" + strings.Join(leaf, "/"),
		})
	}
	for i, c := range s.InitContainers {
		add(InitContainer, i, c.Name, c.Image, "image")
	}
	for i, c := range s.Containers {
		add(Container, i, c.Name, c.Image, "image")
	}
	for i, c := range s.EphemeralContainers {
		add(EphemeralContainer, i, c.Name, c.Image, "image")
	}
	for i, v := range s.Volumes {
		if v.Image != nil {
			add(ImageVolume, i, v.Name, v.Image.Reference, "image", "reference")
		}
	}
	return images
}

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
