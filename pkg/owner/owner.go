// Package owner knows the objects of the cluster that make others: it watches
// them, so that looking one up costs no request.
package owner

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// resources are the objects that make others which run images.
var resources = map[schema.GroupVersionKind]string{
	{Version: "v1", Kind: "ReplicationController"}:      "replicationcontrollers",
	{Group: "apps", Version: "v1", Kind: "Deployment"}:  "deployments",
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"}:  "replicasets",
	{Group: "apps", Version: "v1", Kind: "DaemonSet"}:   "daemonsets",
	{Group: "apps", Version: "v1", Kind: "StatefulSet"}: "statefulsets",
	{Group: "batch", Version: "v1", Kind: "Job"}:        "jobs",
	{Group: "batch", Version: "v1", Kind: "CronJob"}:    "cronjobs",
}

// Watcher watches them once it is started. It is safe for concurrent use.
type Watcher struct {
	factory   informers.SharedInformerFactory
	informers map[schema.GroupVersionKind]cache.SharedIndexInformer
	start     sync.Once
}

var _ verify.Owners = (*Watcher)(nil)

// New makes a watcher. Nothing is asked before Start.
func New(client kubernetes.Interface) (*Watcher, error) {
	w := &Watcher{factory: informers.NewSharedInformerFactory(client, 0), informers: map[schema.GroupVersionKind]cache.SharedIndexInformer{}}
	for gvk, resource := range resources {
		generic, err := w.factory.ForResource(gvk.GroupVersion().WithResource(resource))
		if err != nil {
			return nil, fmt.Errorf("%s cannot be watched: %w", resource, err)
		}
		informer := generic.Informer()
		if err := informer.SetTransform(keep(gvk)); err != nil {
			return nil, fmt.Errorf("%s cannot be watched: %w", resource, err)
		}
		w.informers[gvk] = informer
	}
	return w, nil
}

// Start watches until ctx ends; what was started once goes on.
func (w *Watcher) Start(ctx context.Context) {
	w.start.Do(func() { w.factory.Start(ctx.Done()) })
}

// Owner implements verify.Owners.
func (w *Watcher) Owner(_ context.Context, namespace string, ref metav1.OwnerReference) (*workload.Workload, error) {
	gvk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	informer, ok := w.informers[gvk]
	if !ok {
		return nil, fmt.Errorf("objects of the kind %s are not watched", gvk)
	}
	if !informer.HasSynced() {
		return nil, fmt.Errorf("it is not known yet which objects of the kind %s there are", gvk)
	}
	found, exists, err := informer.GetIndexer().GetByKey(namespace + "/" + ref.Name)
	if err != nil {
		return nil, fmt.Errorf("%s %s/%s: %w", gvk.Kind, namespace, ref.Name, err)
	}
	kept, ok := found.(*kept)
	if !exists || !ok {
		return nil, fmt.Errorf("%s %s/%s does not exist (yet)", gvk.Kind, namespace, ref.Name)
	}
	if kept.workload == nil {
		return nil, fmt.Errorf("%s %s/%s cannot be read", gvk.Kind, namespace, ref.Name)
	}
	return kept.workload, nil
}

// kept is all that is kept of an object.
type kept struct {
	metav1.ObjectMeta
	workload *workload.Workload // nil if it cannot be read
}

// keep drops what nobody asks about: environment variables, status, and all.
func keep(gvk schema.GroupVersionKind) cache.TransformFunc {
	return func(object any) (any, error) {
		if _, again := object.(*kept); again {
			return object, nil
		}
		accessor, ok := object.(metav1.ObjectMetaAccessor)
		if !ok {
			return object, nil // the end of a watch
		}
		raw, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		// One that cannot be read is the owner of nothing: an error here would have all
		// of its kind listed again and again.
		w, _ := workload.Builtin().Extract(gvk, raw)
		meta := accessor.GetObjectMeta()
		return &kept{ObjectMeta: metav1.ObjectMeta{Namespace: meta.GetNamespace(), Name: meta.GetName(), UID: meta.GetUID(), ResourceVersion: meta.GetResourceVersion()}, workload: w}, nil
	}
}
