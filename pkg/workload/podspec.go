package workload

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"
)

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

// podSpec is the part of a pod spec that is looked at.
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

// object is a duck type: it holds a pod spec at each place where one of the kinds
// has it. knative.dev/pkg/apis/duck/v1.WithPod is one for templates, with which
// the tests compare; decoding no more than what is looked at is several times
// faster.
type object struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		podSpec
		Template    *podTemplate `json:"template"`
		JobTemplate *struct {
			Spec struct {
				Template podTemplate `json:"template"`
			} `json:"spec"`
		} `json:"jobTemplate"`
	} `json:"spec"`
}

type podTemplate struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec podSpec `json:"spec"`
}

// location is where a kind of object has its one pod spec.
type location struct {
	place
	of func(*object) *podSpec // nil where the object has none
}

var (
	inSpec = location{place{"spec", "/spec"}, func(o *object) *podSpec { return &o.Spec.podSpec }}

	inTemplate = location{place{"spec.template.spec", "/spec/template/spec"}, func(o *object) *podSpec {
		if o.Spec.Template == nil {
			return nil
		}
		return &o.Spec.Template.Spec
	}}

	inJobTemplate = location{place{"spec.jobTemplate.spec.template.spec", "/spec/jobTemplate/spec/template/spec"}, func(o *object) *podSpec {
		if o.Spec.JobTemplate == nil {
			return nil
		}
		return &o.Spec.JobTemplate.Spec.Template.Spec
	}}
)

// read reads an object that has its pod spec at the location.
func (l location) read(gvk schema.GroupVersionKind, raw []byte) (*Workload, error) {
	if len(raw) > smallObject {
		defer room(raw)()
	}
	var obj object
	if err := decode(gvk, raw, &obj); err != nil {
		return nil, err
	}
	w := newWorkload(gvk, &obj.Metadata)
	w.Images = []Image{}
	if spec := l.of(&obj); spec != nil {
		w.identify(spec)
		var err error
		if w.Images, err = spec.images(l.place, ""); err != nil {
			return nil, err
		}
	}
	if gvk.Group == servingGroup && obj.Spec.Template != nil {
		w.RevisionName = obj.Spec.Template.Metadata.Name
	}
	return w, nil
}

// decode reads JSON as the API server does, and nothing but an object.
func decode(gvk schema.GroupVersionKind, raw []byte, into any) error {
	if trimmed := bytes.TrimSpace(raw); !bytes.HasPrefix(trimmed, []byte("{")) {
		return fmt.Errorf("the %s cannot be read: it is not a JSON object", gvk.Kind)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(raw, into); err != nil {
		return fmt.Errorf("the %s cannot be read: %w", gvk.Kind, err)
	}
	return nil
}

func newWorkload(gvk schema.GroupVersionKind, m *metadata) *Workload {
	return &Workload{
		Kind:      gvk,
		Namespace: m.Namespace,
		Name:      cmp.Or(m.Name, m.GenerateName),
		UID:       m.UID,
		Owners:    m.OwnerReferences,
		Deleting:  m.DeletionTimestamp != nil,
	}
}

// identify takes over whose pull credentials the pods use.
func (w *Workload) identify(spec *podSpec) {
	w.ServiceAccount = cmp.Or(spec.ServiceAccountName, spec.ServiceAccount)
	for _, secret := range spec.ImagePullSecrets {
		w.PullSecrets = append(w.PullSecrets, secret.Name)
	}
}

// Where a container and an image volume have their image.
var (
	containerImage = place{"image", "/image"}
	volumeImage    = place{"image.reference", "/image/reference"}
)

// images lists what a pod spec at the place runs. The names of its lists get the
// prefix, which tells them from those of an object's other pod specs.
func (s *podSpec) images(at place, prefix string) ([]Image, error) {
	if len(s.InitContainers)+len(s.Containers)+len(s.EphemeralContainers)+len(s.Volumes) > maxImages {
		return nil, ErrTooManyImages
	}
	images := make([]Image, 0, len(s.InitContainers)+len(s.Containers)+len(s.EphemeralContainers))
	add := func(kind ContainerKind, i int, name, reference string, leaf place) {
		index := strconv.Itoa(i)
		images = append(images, Image{
			Reference: reference,
			Kind:      ContainerKind(prefix) + kind,
			Name:      name,
			Field:     at.field + "." + string(kind) + "[" + index + "]." + leaf.field,
			Pointer:   at.pointer + "/" + string(kind) + "/" + index + leaf.pointer,
		})
	}
	for i, c := range s.InitContainers {
		add(InitContainer, i, c.Name, c.Image, containerImage)
	}
	for i, c := range s.Containers {
		add(Container, i, c.Name, c.Image, containerImage)
	}
	for i, c := range s.EphemeralContainers {
		add(EphemeralContainer, i, c.Name, c.Image, containerImage)
	}
	for i, v := range s.Volumes {
		if v.Image != nil {
			add(ImageVolume, i, v.Name, v.Image.Reference, volumeImage)
		}
	}
	return images, nil
}
