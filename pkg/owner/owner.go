// Package owner knows the objects of the cluster that make others: it watches
// them, so that looking one up costs no request.
package owner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/sse-secure-systems/connaisseur/pkg/verify"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// pageSize is how many objects are asked for at a time. Each may take a megabyte or
// two before all but its images is dropped, and tenants decide how many there are.
const pageSize = 20

// Watcher watches them once it is started. It is safe for concurrent use.
type Watcher struct {
	informers map[schema.GroupVersionKind]cache.SharedIndexInformer
	start     sync.Once
	page      sync.Mutex // one at a time, of whatever kind
}

var _ verify.Owners = (*Watcher)(nil)

// New makes a watcher. Nothing is asked before Start.
func New(client kubernetes.Interface) (*Watcher, error) {
	w := &Watcher{informers: map[schema.GroupVersionKind]cache.SharedIndexInformer{}}
	core, apps, batch := client.CoreV1(), client.AppsV1(), client.BatchV1()
	return w, errors.Join(
		add(w, client, "v1", "ReplicationController", core.ReplicationControllers(""), &corev1.ReplicationController{}),
		add(w, client, "apps/v1", "Deployment", apps.Deployments(""), &appsv1.Deployment{}),
		add(w, client, "apps/v1", "ReplicaSet", apps.ReplicaSets(""), &appsv1.ReplicaSet{}),
		add(w, client, "apps/v1", "DaemonSet", apps.DaemonSets(""), &appsv1.DaemonSet{}),
		add(w, client, "apps/v1", "StatefulSet", apps.StatefulSets(""), &appsv1.StatefulSet{}),
		add(w, client, "batch/v1", "Job", batch.Jobs(""), &batchv1.Job{}),
		add(w, client, "batch/v1", "CronJob", batch.CronJobs(""), &batchv1.CronJob{}),
	)
}

// source gives the objects of a kind.
type source[List runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (List, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// add has the watcher watch a kind. An API server that cannot stream what there is
// lists it, page by page.
func add[List runtime.Object](w *Watcher, client kubernetes.Interface, apiVersion, kind string, from source[List], example runtime.Object) error {
	gvk := schema.FromAPIVersionAndKind(apiVersion, kind)
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			w.page.Lock()
			defer w.page.Unlock()
			if options.Limit = pageSize; options.ResourceVersion == "0" {
				options.ResourceVersion = "" // for 0 there are no pages
			}
			list, err := from.List(ctx, options)
			if err != nil {
				return nil, err
			}
			return keepAll(gvk, list)
		},
		WatchFuncWithContext: from.Watch,
	}, client), example, 0, cache.Indexers{})
	if err := informer.SetTransform(func(object any) (any, error) { return keep(gvk, object) }); err != nil {
		return fmt.Errorf("objects of the kind %s cannot be watched: %w", gvk, err)
	}
	w.informers[gvk] = informer
	return nil
}

// Start watches until ctx ends; what was started once goes on.
func (w *Watcher) Start(ctx context.Context) {
	w.start.Do(func() {
		for _, informer := range w.informers {
			go informer.RunWithContext(ctx)
		}
	})
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

// GetObjectKind implements runtime.Object; nobody asks.
func (*kept) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }

// DeepCopyObject implements runtime.Object. The workload is not modified.
func (k *kept) DeepCopyObject() runtime.Object {
	copied := *k
	return &copied
}

// keepAll keeps of each object of a list what is kept.
func keepAll(gvk schema.GroupVersionKind, list runtime.Object) (runtime.Object, error) {
	accessor, err := meta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	all := &internalversion.List{ListMeta: metav1.ListMeta{ResourceVersion: accessor.GetResourceVersion(), Continue: accessor.GetContinue()}}
	return all, meta.EachListItem(list, func(object runtime.Object) error {
		one, err := keep(gvk, object)
		if kept, ok := one.(*kept); ok {
			all.Items = append(all.Items, kept)
		}
		return err
	})
}

// keep drops what nobody asks about: environment variables, status, and all.
func keep(gvk schema.GroupVersionKind, object any) (any, error) {
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
	m := accessor.GetObjectMeta()
	return &kept{ObjectMeta: metav1.ObjectMeta{Namespace: m.GetNamespace(), Name: m.GetName(), UID: m.GetUID(), ResourceVersion: m.GetResourceVersion()}, workload: w}, nil
}
