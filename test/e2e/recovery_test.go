//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sse-secure-systems/connaisseur/pkg/testing/clustertest"
)

var code = regexp.MustCompile("`(kubectl [^`]+)`")

// runbook gives the commands that config/README.md has for what somebody sees at
// three in the morning.
func runbook(t *testing.T, seen string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(root + "/config/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## At three in the morning\n")
	table, _, _ = strings.Cut(table, "\n## ")
	for row := range strings.Lines(table) {
		if cells := strings.Split(row, " | "); len(cells) == 2 && strings.Contains(cells[0], seen) {
			for _, span := range code.FindAllStringSubmatch(cells[1], -1) {
				commands = append(commands, span[1])
			}
		}
	}
	if len(commands) == 0 {
		t.Fatalf("the runbook has no command for %q", seen)
	}
	return commands
}

// documented gives the commands of the block of a page that has this text.
func documented(t *testing.T, name, text string) (commands []string) {
	t.Helper()
	page, err := os.ReadFile(root + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(page), "```console\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.Contains(block, text) {
			for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
				commands = append(commands, strings.TrimSpace(line))
			}
		}
	}
	if len(commands) == 0 {
		t.Fatalf("no block of commands has %q", text)
	}
	return commands
}

// follow runs commands of the documentation as somebody would type them.
func follow(t *testing.T, commands []string) {
	t.Helper()
	for _, line := range commands {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", line)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		t.Logf("$ %s\n%s", line, out)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// stop ends all replicas.
func stop(t *testing.T) {
	t.Helper()
	kubectl(t, "-n", ownNamespace, "scale", "deployment/webhook", "--replicas=0")
	clustertest.Within(t, patience, func(ctx context.Context) error {
		list, err := cluster.CoreV1().Pods(ownNamespace).List(ctx, metav1.ListOptions{LabelSelector: replicas})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("%d Pods are left", len(list.Items))
		}
		return err
	})
}

// start has the replicas again when a test is over, whatever became of it.
func start(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if _, err := command(context.Background(), "kubectl", "-n", ownNamespace, "scale", "deployment/webhook", "--replicas=2"); err != nil {
			t.Error(err)
		}
		if err := clustertest.Poll(context.Background(), patience, settled); err != nil {
			t.Error(err)
		}
		if err := configuredBase(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// unanswered is a complaint if err is anything but the API server's word that it did
// not reach the webhook.
func unanswered(err error) error {
	if err == nil || !strings.Contains(err.Error(), "failed calling webhook") {
		return fmt.Errorf("want no webhook to answer, got: %w", err)
	}
	return nil
}

// Nothing runs any more, and the certificate is gone besides. As nothing is admitted
// without the webhook, it must come back without being admitted by itself, and so
// must the cluster's DNS.
func TestItComesBackFromAFullStop(t *testing.T) {
	clustertest.Within(t, patience, settled)
	start(t)
	stop(t)
	kubectl(t, "-n", ownNamespace, "patch", "secret", secretName, "--type=json", "-p", `[{"op": "remove", "path": "/data"}]`)
	_, err := try(t.Context(), "default", "meanwhile", signed.String())
	if err := unanswered(err); err != nil {
		t.Fatal(err)
	}

	dns := metav1.ListOptions{LabelSelector: "k8s-app=kube-dns"}
	before, err := cluster.CoreV1().Pods("kube-system").List(t.Context(), dns)
	if err != nil || len(before.Items) == 0 {
		t.Fatalf("the cluster has no DNS: %v", err)
	}
	if err := cluster.CoreV1().Pods("kube-system").DeleteCollection(t.Context(), metav1.DeleteOptions{}, dns); err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		list, err := cluster.CoreV1().Pods("kube-system").List(ctx, dns)
		if err != nil {
			return err
		}
		if len(list.Items) != len(before.Items) {
			return fmt.Errorf("%d Pods of the DNS, not %d", len(list.Items), len(before.Items))
		}
		for _, pod := range list.Items {
			if !ready(&pod) || pod.UID == before.Items[0].UID {
				return fmt.Errorf("%s is not new and ready", pod.Name)
			}
		}
		return nil
	})

	follow(t, runbook(t, "everything stood still"))
	if err := configuredBase(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The Secret itself is gone, which the webhook may not make: replicas that start say
// what is missing, and the runbook brings it back.
func TestADeletedSecretIsMissed(t *testing.T) {
	clustertest.Within(t, patience, settled)
	start(t)
	t.Cleanup(func() {
		if _, err := command(context.Background(), "kubectl", "apply", "-f", "config/300-secret.yaml"); err != nil {
			t.Error(err)
		}
	})
	stop(t)
	kubectl(t, "-n", ownNamespace, "delete", "secret", secretName)
	kubectl(t, "-n", ownNamespace, "scale", "deployment/webhook", "--replicas=2")
	since := metav1.Now()
	clustertest.Within(t, patience, func(ctx context.Context) error {
		list, err := cluster.CoreV1().Events(ownNamespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=CertificateMissing"})
		if err != nil {
			return err
		}
		for _, event := range list.Items {
			if event.InvolvedObject.Name == secretName && strings.Contains(event.Message, "config/300-secret.yaml") && !event.LastTimestamp.Before(&metav1.Time{Time: since.Add(-time.Second)}) {
				return nil
			}
		}
		return fmt.Errorf("no Event says so: %v", list.Items)
	})
	follow(t, runbook(t, "CertificateMissing"))
	clustertest.Within(t, patience, settled)
	if err := configuredBase(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The runbook's last resort does what it says, and can be taken back.
func TestTheLastResortOfTheRunbook(t *testing.T) {
	clustertest.Within(t, patience, settled)
	start(t)
	namespace := newNamespace(t)
	stop(t)
	_, err := try(t.Context(), namespace, "before", unsigned.String())
	if err := unanswered(err); err != nil {
		t.Fatal(err)
	}
	commands := runbook(t, "there is no time")
	if len(commands) != 2 {
		t.Fatalf("want a command to stop verification and one to start it, got %q", commands)
	}
	follow(t, commands[:1])
	clustertest.Within(t, patience, func(ctx context.Context) error {
		_, err := try(ctx, namespace, "during", unsigned.String())
		return err
	})
	follow(t, commands[1:])
	follow(t, runbook(t, "everything stood still"))
	clustertest.Within(t, patience, func(ctx context.Context) error {
		_, err := try(ctx, namespace, "after", unsigned.String())
		return clustertest.Denied(err, "NoSignature")
	})
}

// One namespace goes on while the webhook is away.
func TestOneNamespaceGoesOnMeanwhile(t *testing.T) {
	clustertest.Within(t, patience, settled)
	namespace := newNamespace(t)
	t.Cleanup(func() {
		if err := set(context.Background(), "config-features", map[string]string{"excludedNamespaces": "[kube-system]"}); err != nil {
			t.Error(err)
		}
	})
	for _, line := range runbook(t, "one namespace must go on") {
		follow(t, []string{strings.ReplaceAll(line, "NAME", namespace)})
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		_, err := try(ctx, namespace, "other", unsigned.String())
		return err
	})
	pod, err := cluster.CoreV1().Pods(namespace).Create(t.Context(), newPod("unsigned", unsigned.String()), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	clustertest.Within(t, patience, func(ctx context.Context) error {
		p, err := cluster.CoreV1().Pods(namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		if err == nil && p.Status.Phase != corev1.PodRunning {
			err = errors.New("it does not run")
		}
		return err
	})
}

// Whoever installs it into a cluster where much runs begins as README.md says: nothing is
// denied, and what would be is told.
func TestItBeginsWithDetection(t *testing.T) {
	clustertest.Within(t, patience, settled)
	namespace := newNamespace(t)
	t.Cleanup(func() {
		kubectl := []string{"-n", ownNamespace, "patch", "configmap", "config-features", "--type", "merge", "-p", `{"data":{"detectionMode":null}}`}
		if _, err := command(context.Background(), "kubectl", kubectl...); err != nil {
			t.Error(err)
		}
		if err := configuredBase(context.Background()); err != nil {
			t.Error(err)
		}
	})
	follow(t, documented(t, "README.md", "detectionMode"))
	clustertest.Within(t, patience, func(ctx context.Context) error {
		_, err := cluster.CoreV1().Pods(namespace).Create(ctx, newPod("unsigned", unsigned.String()), metav1.CreateOptions{})
		return err
	})
	clustertest.Within(t, patience, func(ctx context.Context) error {
		list, err := cluster.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=ImageWouldBeDenied"})
		if err == nil && len(list.Items) == 0 {
			err = errors.New("nobody is told that it would be denied")
		}
		return err
	})
}
