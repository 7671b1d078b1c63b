//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

const (
	root         = "../.."
	ownNamespace = "connaisseur"
	replicas     = "app.kubernetes.io/name=connaisseur,app.kubernetes.io/component=webhook"
	// patience is for what a cluster does: pull, start, schedule, elect.
	patience = 90 * time.Second
)

// command runs a program at the root of the tree and gives what it prints. The error
// has what it printed besides.
func command(ctx context.Context, name string, args ...string) (string, error) {
	return commandWith(ctx, nil, name, args...)
}

// commandWith has more variables in the environment.
func commandWith(ctx context.Context, env []string, name string, args ...string) (string, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String(), nil
}

// newNamespace makes a namespace for one test.
func newNamespace(t *testing.T) string {
	t.Helper()
	return clustertest.NewNamespace(t, cluster, nil)
}

// kubectl runs one that must succeed.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t.Context(), "kubectl", args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// newPod is one that has nothing to do.
func newPod(name, image string) *corev1.Pod {
	none := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{{Name: "app", Image: image}},
			TerminationGracePeriodSeconds: &none,
		},
	}
}

// try tells whether an image would be admitted, and as what.
func try(ctx context.Context, namespace, name, image string) (string, error) {
	pod, err := cluster.CoreV1().Pods(namespace).Create(ctx, newPod(name, image), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return "", err
	}
	return pod.Spec.Containers[0].Image, nil
}

// webhooks are the webhook's Pods that are not about to end, oldest first.
func webhooks(t *testing.T) []corev1.Pod {
	t.Helper()
	list, err := cluster.CoreV1().Pods(ownNamespace).List(t.Context(), metav1.ListOptions{LabelSelector: replicas})
	if err != nil {
		t.Fatal(err)
	}
	pods := slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return pods
}

// ready tells whether a Pod is.
func ready(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// settled is a complaint while there are not exactly two replicas, both ready.
func settled(ctx context.Context) error {
	d, err := cluster.AppsV1().Deployments(ownNamespace).Get(ctx, "webhook", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if s := d.Status; s.ObservedGeneration != d.Generation || s.Replicas != 2 || s.UpdatedReplicas != 2 || s.AvailableReplicas != 2 {
		return fmt.Errorf("not two replicas: %+v", s)
	}
	list, err := cluster.CoreV1().Pods(ownNamespace).List(ctx, metav1.ListOptions{LabelSelector: replicas})
	if err != nil {
		return err
	}
	ending := slices.ContainsFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if len(list.Items) != 2 || ending {
		return fmt.Errorf("there are %d Pods, some of which still end", len(list.Items))
	}
	return nil
}

var forwarding = regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) `)

// forward makes a port of something in a namespace one of this machine, until stop
// is called.
func forward(ctx context.Context, namespace, target string, port int) (address string, stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "kubectl", "-n", namespace, "port-forward", "--address", "127.0.0.1", target, fmt.Sprintf(":%d", port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return "", nil, err
	}
	stop = func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	said := forwarding.FindStringSubmatch(line)
	if said == nil {
		stop()
		return "", nil, fmt.Errorf("kubectl port-forward said %q: %w", line, err)
	}
	return said[1], stop, nil
}
