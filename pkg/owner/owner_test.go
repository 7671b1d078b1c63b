package owner_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/sse-secure-systems/connaisseur/pkg/owner"
)

func spec(image string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: image, Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "secret"}}}}}
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "prod", Name: name, UID: types.UID("uid-" + name)}
}

func reference(apiVersion, kind, name string) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: apiVersion, Kind: kind, Name: name}
}

func TestOwnersAreFound(t *testing.T) {
	t.Parallel()
	template := corev1.PodTemplateSpec{Spec: spec("app:1")}
	objects := map[string]runtime.Object{
		"v1/ReplicationController": &corev1.ReplicationController{ObjectMeta: meta("a"), Spec: corev1.ReplicationControllerSpec{Template: &template}},
		"apps/v1/Deployment":       &appsv1.Deployment{ObjectMeta: meta("a"), Spec: appsv1.DeploymentSpec{Template: template}},
		"apps/v1/ReplicaSet":       &appsv1.ReplicaSet{ObjectMeta: meta("a"), Spec: appsv1.ReplicaSetSpec{Template: template}},
		"apps/v1/DaemonSet":        &appsv1.DaemonSet{ObjectMeta: meta("a"), Spec: appsv1.DaemonSetSpec{Template: template}},
		"apps/v1/StatefulSet":      &appsv1.StatefulSet{ObjectMeta: meta("a"), Spec: appsv1.StatefulSetSpec{Template: template}},
		"batch/v1/Job":             &batchv1.Job{ObjectMeta: meta("a"), Spec: batchv1.JobSpec{Template: template}},
		"batch/v1/CronJob":         &batchv1.CronJob{ObjectMeta: meta("a"), Spec: batchv1.CronJobSpec{JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: template}}}},
	}
	var all []runtime.Object
	for _, object := range objects {
		all = append(all, object)
	}
	client := fake.NewSimpleClientset(all...)
	w, err := owner.New(client)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Owner(t.Context(), "prod", reference("apps/v1", "ReplicaSet", "a")); err == nil || !strings.Contains(err.Error(), "not known yet") {
		t.Errorf("before the start: %v", err)
	}
	w.Start(t.Context())
	w.Start(t.Context())
	for kind := range objects {
		at := strings.LastIndexByte(kind, '/')
		ref := reference(kind[:at], kind[at+1:], "a")
		for start := time.Now(); ; time.Sleep(time.Millisecond) {
			found, err := w.Owner(t.Context(), "prod", ref)
			if err == nil {
				if found.UID != "uid-a" || found.Kind.Kind != ref.Kind || len(found.Images) != 1 || found.Images[0].Reference != "app:1" {
					t.Errorf("%s: %+v", kind, found)
				}
				break
			}
			if time.Since(start) > 10*time.Second {
				t.Fatalf("%s: %v", kind, err)
			}
		}
	}
	asked := len(client.Actions())
	for name, c := range map[string]struct {
		namespace string
		ref       metav1.OwnerReference
		want      string
	}{
		"another name":      {"prod", reference("apps/v1", "ReplicaSet", "b"), "does not exist"},
		"another namespace": {"test", reference("apps/v1", "ReplicaSet", "a"), "does not exist"},
		"another group":     {"prod", reference("example.com/v1", "ReplicaSet", "a"), "not watched"},
		"another version":   {"prod", reference("apps/v1beta1", "ReplicaSet", "a"), "not watched"},
		"no kind":           {"prod", metav1.OwnerReference{Name: "a"}, "not watched"},
	} {
		if found, err := w.Owner(t.Context(), c.namespace, c.ref); err == nil || !strings.Contains(err.Error(), c.want) || found != nil {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	if n := len(client.Actions()); n != asked {
		t.Errorf("looking up cost %d requests", n-asked)
	}
}

// T18: an API server that does not stream is asked for pages, never for all there is.
func TestT18OwnersAreListedInPages(t *testing.T) {
	t.Parallel()
	const all = 45
	asked := make(chan url.Values, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case query.Has("sendInitialEvents"):
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case query.Has("watch"):
			<-r.Context().Done()
		case !strings.HasSuffix(r.URL.Path, "/replicasets"):
			fmt.Fprint(w, `{"metadata":{"resourceVersion":"1"}}`)
		default:
			asked <- query
			from, _ := strconv.Atoi(query.Get("continue"))
			limit, _ := strconv.Atoi(query.Get("limit"))
			list := appsv1.ReplicaSetList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
			for i := from; i < all && len(list.Items) < limit; i++ {
				list.Items = append(list.Items, appsv1.ReplicaSet{ObjectMeta: meta(fmt.Sprint("r", i)), Spec: appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{Spec: spec("app:1")}}})
			}
			if next := from + len(list.Items); next < all {
				list.Continue = strconv.Itoa(next)
			}
			_ = json.NewEncoder(w).Encode(list)
		}
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	w, err := owner.New(client)
	if err != nil {
		t.Fatal(err)
	}
	w.Start(t.Context())
	for i := range all {
		name := fmt.Sprint("r", i)
		for start := time.Now(); ; time.Sleep(time.Millisecond) {
			if found, err := w.Owner(t.Context(), "prod", reference("apps/v1", "ReplicaSet", name)); err == nil && len(found.Images) == 1 {
				break
			} else if time.Since(start) > 10*time.Second {
				t.Fatal(name, err)
			}
		}
	}
	for range 3 {
		if query := <-asked; query.Get("limit") != "20" || query.Get("resourceVersion") == "0" {
			t.Errorf("asked for %v", query)
		}
	}
}

// An object that cannot be read keeps nobody from finding the others of its kind.
func TestAnOwnerThatCannotBeReadIsNone(t *testing.T) {
	t.Parallel()
	huge := &appsv1.ReplicaSet{ObjectMeta: meta("huge")}
	huge.Spec.Template.Spec.Containers = make([]corev1.Container, 10_001)
	w, err := owner.New(fake.NewSimpleClientset(huge, &appsv1.ReplicaSet{ObjectMeta: meta("a"), Spec: appsv1.ReplicaSetSpec{Template: corev1.PodTemplateSpec{Spec: spec("app:1")}}}))
	if err != nil {
		t.Fatal(err)
	}
	w.Start(t.Context())
	for start := time.Now(); ; time.Sleep(time.Millisecond) {
		if found, err := w.Owner(t.Context(), "prod", reference("apps/v1", "ReplicaSet", "a")); err == nil && len(found.Images) == 1 {
			break
		} else if time.Since(start) > 10*time.Second {
			t.Fatal(err)
		}
	}
	if found, err := w.Owner(t.Context(), "prod", reference("apps/v1", "ReplicaSet", "huge")); err == nil || found != nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("%v, %v", found, err)
	}
}
