package workload

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// servingGroup is Knative's.
const servingGroup = "serving.knative.dev"

var revision = schema.GroupKind{Group: servingGroup, Kind: "Revision"}

// reader reads the objects of a kind.
type reader interface {
	read(gvk schema.GroupVersionKind, raw []byte) (*Workload, error)
}

// kind is a kind of object that runs images: how admission rules name it, and
// where its images stand.
type kind struct {
	schema.GroupKind
	version   string
	resources []string
	reader
}

// builtin lists every kind that is covered without being asked for. To add one,
// add a line; the webhook's rules, extraction and the command line follow.
var builtin = []kind{
	{schema.GroupKind{Group: "", Kind: "Pod"}, "v1", []string{"pods", "pods/ephemeralcontainers"}, inSpec},
	{schema.GroupKind{Group: "", Kind: "ReplicationController"}, "v1", []string{"replicationcontrollers"}, inTemplate},
	{schema.GroupKind{Group: "apps", Kind: "Deployment"}, "v1", []string{"deployments"}, inTemplate},
	{schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, "v1", []string{"replicasets"}, inTemplate},
	{schema.GroupKind{Group: "apps", Kind: "DaemonSet"}, "v1", []string{"daemonsets"}, inTemplate},
	{schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, "v1", []string{"statefulsets"}, inTemplate},
	{schema.GroupKind{Group: "batch", Kind: "Job"}, "v1", []string{"jobs"}, inTemplate},
	{schema.GroupKind{Group: "batch", Kind: "CronJob"}, "v1", []string{"cronjobs"}, inJobTemplate},
	{schema.GroupKind{Group: servingGroup, Kind: "Service"}, "v1", []string{"services"}, inTemplate},
	{schema.GroupKind{Group: servingGroup, Kind: "Configuration"}, "v1", []string{"configurations"}, inTemplate},
	{revision, "v1", []string{"revisions"}, inSpec},
}

// Kinds are the kinds of objects whose images are found. The zero value has
// none. It is not modified.
type Kinds struct{ all []kind }

// Builtin are Kubernetes' own kinds and Knative's.
func Builtin() Kinds { return Kinds{builtin} }

func (k Kinds) lookup(gk schema.GroupKind) *kind {
	i := slices.IndexFunc(k.all, func(k kind) bool { return k.GroupKind == gk })
	if i < 0 {
		return nil
	}
	return &k.all[i]
}

// Covers tells whether objects of the kind run images that Extract finds.
func (k Kinds) Covers(gk schema.GroupKind) bool { return k.lookup(gk) != nil }

// Reads tells whether Extract knows where objects of the kind have their images in
// this version.
func (k Kinds) Reads(gvk schema.GroupVersionKind) bool {
	kind := k.lookup(gvk.GroupKind())
	if kind == nil {
		return false
	}
	listed, ok := kind.reader.(custom)
	return !ok || listed.version == gvk.Version
}

// Extract reads an object of one of the kinds. An object without any image is an
// error for none of them: its list is empty.
func (k Kinds) Extract(gvk schema.GroupVersionKind, raw []byte) (*Workload, error) {
	kind := k.lookup(gvk.GroupKind())
	if kind == nil {
		return nil, fmt.Errorf("objects of kind %s are not covered: it is not known where their images stand", gvk.GroupKind())
	}
	return kind.read(gvk, raw)
}

// Resources are the resources of one API group and version whose objects run
// images, subresources included, as an admission rule names them.
type Resources struct {
	schema.GroupVersion
	Names []string
}

// Rules lists the resources of all kinds, in a stable order.
func (k Kinds) Rules() []Resources {
	var rules []Resources
	for _, kind := range k.all {
		gv := schema.GroupVersion{Group: kind.Group, Version: kind.version}
		i := slices.IndexFunc(rules, func(r Resources) bool { return r.GroupVersion == gv })
		if i < 0 {
			i, rules = len(rules), append(rules, Resources{GroupVersion: gv})
		}
		rules[i].Names = append(rules[i].Names, kind.resources...)
	}
	return rules
}
