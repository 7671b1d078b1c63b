//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// podSpec runs these images, each in a container of its own: c0, c1 …
func podSpec(images ...string) corev1.PodSpec {
	var spec corev1.PodSpec
	for i, image := range images {
		spec.Containers = append(spec.Containers, corev1.Container{Name: fmt.Sprintf("c%d", i), Image: image})
	}
	return spec
}

// newPod is a Pod of these images whose name the API server completes.
func newPod(prefix string, images ...string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix}, Spec: podSpec(images...)}
}

var (
	podLabels = map[string]string{"app": "integration"}
	selector  = &metav1.LabelSelector{MatchLabels: podLabels}
)

func template(spec corev1.PodSpec) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: podLabels}, Spec: spec}
}

func newDeployment(name string, replicas int32, images ...string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       appsv1.DeploymentSpec{Replicas: &replicas, Selector: selector, Template: template(podSpec(images...))},
	}
}

func newJob(name string, image string) *batchv1.Job {
	spec := podSpec(image)
	spec.RestartPolicy = corev1.RestartPolicyNever
	return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: batchv1.JobSpec{Suspend: ptr.To(true), Template: template(spec)}}
}

func create[T any](t *testing.T, create func(context.Context, *T, metav1.CreateOptions) (*T, error), object *T) *T {
	t.Helper()
	stored, err := create(t.Context(), object, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// kind is a kind of workload.
type kind struct {
	name string
	path string // of the pod spec
	// create stores an object that runs the spec, and returns the spec that
	// was stored.
	create func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error)
}

const templatePath = "spec.template.spec"

// nameless are the metadata of an object whose name does not matter.
var nameless = metav1.ObjectMeta{GenerateName: "kind-"}

var kinds = []kind{
	{"Pod", "spec", func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error) {
		got, err := cluster.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{ObjectMeta: nameless, Spec: spec}, metav1.CreateOptions{})
		return got.Spec, err
	}},
	{"ReplicationController", templatePath, func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error) {
		got, err := cluster.CoreV1().ReplicationControllers(namespace).Create(ctx, &corev1.ReplicationController{ObjectMeta: nameless, Spec: corev1.ReplicationControllerSpec{
			Replicas: ptr.To(int32(0)), Selector: podLabels, Template: ptr.To(template(spec)),
		}}, metav1.CreateOptions{})
		return orNone(got.Spec.Template), err
	}},
	{"Deployment", templatePath, func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error) {
		got, err := cluster.AppsV1().Deployments(namespace).Create(ctx, &appsv1.Deployment{ObjectMeta: nameless, Spec: appsv1.DeploymentSpec{
			Selector: selector, Template: template(spec),
		}}, metav1.CreateOptions{})
		return got.Spec.Template.Spec, err
	}},
	{"ReplicaSet", templatePath, func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error) {
		got, err := cluster.AppsV1().ReplicaSets(namespace).Create(ctx, &appsv1.ReplicaSet{ObjectMeta: nameless, Spec: appsv1.ReplicaSetSpec{
			Selector: selector, Template: template(spec),
		}}, metav1.CreateOptions{})
		return got.Spec.Template.Spec, err
	}},
	{"DaemonSet", templatePath, func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error) {
		got, err := cluster.AppsV1().DaemonSets(namespace).Create(ctx, &appsv1.DaemonSet{ObjectMeta: nameless, Spec: appsv1.DaemonSetSpec{
			Selector: selector, Template: template(spec),
		}}, metav1.CreateOptions{})
		return got.Spec.Template.Spec, err
	}},
	{"StatefulSet", templatePath, func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error) {
		got, err := cluster.AppsV1().StatefulSets(namespace).Create(ctx, &appsv1.StatefulSet{ObjectMeta: nameless, Spec: appsv1.StatefulSetSpec{
			Selector: selector, Template: template(spec),
		}}, metav1.CreateOptions{})
		return got.Spec.Template.Spec, err
	}},
	{"Job", templatePath, func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error) {
		spec.RestartPolicy = corev1.RestartPolicyNever
		got, err := cluster.BatchV1().Jobs(namespace).Create(ctx, &batchv1.Job{ObjectMeta: nameless, Spec: batchv1.JobSpec{
			Template: corev1.PodTemplateSpec{Spec: spec},
		}}, metav1.CreateOptions{})
		return got.Spec.Template.Spec, err
	}},
	{"CronJob", "spec.jobTemplate.spec.template.spec", func(ctx context.Context, namespace string, spec corev1.PodSpec) (corev1.PodSpec, error) {
		spec.RestartPolicy = corev1.RestartPolicyNever
		got, err := cluster.BatchV1().CronJobs(namespace).Create(ctx, &batchv1.CronJob{ObjectMeta: nameless, Spec: batchv1.CronJobSpec{
			Schedule:    "0 0 1 1 *",
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}},
		}}, metav1.CreateOptions{})
		return got.Spec.JobTemplate.Spec.Template.Spec, err
	}},
}

func orNone(template *corev1.PodTemplateSpec) corev1.PodSpec {
	if template == nil {
		return corev1.PodSpec{}
	}
	return template.Spec
}
