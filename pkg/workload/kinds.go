package workload

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is a kind of object that runs images: where its pod spec stands, and
// how admission rules name it.
type kind struct {
	schema.GroupKind
	version   string
	resources []string
	podSpec   []string // path of the pod spec from the object's root
}

// kinds lists every kind that is covered. To add one, add a line; the webhook's
// rules, extraction and the command line follow.
var kinds = []kind{
	{schema.GroupKind{Group: "", Kind: "Pod"}, "v1", []string{"pods", "pods/ephemeralcontainers"}, []string{"spec"}},
	{schema.GroupKind{Group: "", Kind: "ReplicationController"}, "v1", []string{"replicationcontrollers"}, []string{"spec", "template", "spec"}},
	{schema.GroupKind{Group: "apps", Kind: "Deployment"}, "v1", []string{"deployments"}, []string{"spec", "template", "spec"}},
	{schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, "v1", []string{"replicasets"}, []string{"spec", "template", "spec"}},
	{schema.GroupKind{Group: "apps", Kind: "DaemonSet"}, "v1", []string{"daemonsets"}, []string{"spec", "template", "spec"}},
	{schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, "v1", []string{"statefulsets"}, []string{"spec", "template", "spec"}},
	{schema.GroupKind{Group: "batch", Kind: "Job"}, "v1", []string{"jobs"}, []string{"spec", "template", "spec"}},
	{schema.GroupKind{Group: "batch", Kind: "CronJob"}, "v1", []string{"cronjobs"}, []string{"spec", "jobTemplate", "spec", "template", "spec"}},
}

func lookup(gk schema.GroupKind) (kind, bool) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.GroupKind == gk })
	if i < 0 {
		return kind{}, false
	}
	return kinds[i], true
}

// Covers tells whether objects of the kind run images that Extract finds.
func Covers(gk schema.GroupKind) bool {
	_, ok := lookup(gk)
	return ok
}

// Resources are the resources of one API group and version whose objects run
// images, subresources included, as an admission rule names them.
type Resources struct {
	schema.GroupVersion
	Names []string
}

// Rules lists the resources of all kinds, in a stable order.
func Rules() []Resources {
	var rules []Resources
	for _, k := range kinds {
		gv := schema.GroupVersion{Group: k.Group, Version: k.version}
		i := slices.IndexFunc(rules, func(r Resources) bool { return r.GroupVersion == gv })
		if i < 0 {
			i, rules = len(rules), append(rules, Resources{GroupVersion: gv})
		}
		rules[i].Names = append(rules[i].Names, k.resources...)
	}
	return rules
}
