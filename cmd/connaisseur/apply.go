package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/sse-secure-systems/connaisseur/pkg/migrate"
)

// fieldManager owns what is applied.
const fieldManager = "connaisseur-migrate"

// apply shows what would change in the cluster, asks, and changes it.
func (c *cli) apply(ctx context.Context, o clusterOptions, result migrate.Result, yes, noStdin bool) error {
	client, err := c.client(o)
	if err != nil {
		return err
	}
	targets := targetsOf(client, result)
	changes, err := changesOf(ctx, targets)
	if err != nil {
		return err
	}
	if changes == "" {
		_, err := fmt.Fprintln(c.err, "The cluster has all of this already; nothing is applied.")
		return err
	}
	if _, err := fmt.Fprint(c.out, changes); err != nil {
		return err
	}
	if !yes {
		if noStdin || !c.terminal() {
			return errors.New("nothing is applied, since there is nobody to ask; --yes applies it without asking")
		}
		if !c.confirm("Apply these changes? [y/N] ") {
			fmt.Fprintln(c.err, "Nothing is applied.")
			return status(exitDenied)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	for _, t := range targets {
		if _, err := t.apply(ctx, nil); err != nil {
			return fmt.Errorf("%s is not applied: %w", t.name, err)
		}
		fmt.Fprintf(c.err, "%s is applied.\n", t.name)
	}
	return nil
}

// confirm asks a question.
func (c *cli) confirm(question string) bool {
	fmt.Fprint(c.err, question)
	line, err := bufio.NewReader(c.in).ReadString('\n')
	answer := strings.ToLower(strings.TrimSpace(line))
	return err == nil && (answer == "y" || answer == "yes")
}

// content is what of an object is compared.
type content struct {
	Labels map[string]string `json:"labels,omitempty"`
	Data   map[string]string `json:"data,omitempty"`
}

// target is an object to be applied. The content is that of the object there is;
// nil if there is none.
type target struct {
	name  string
	get   func(ctx context.Context) (*content, error)
	apply func(ctx context.Context, dryRun []string) (*content, error)
	// secret tells that its data is not to be shown.
	secret bool
}

// targetsOf puts Secrets before the ConfigMaps that refer to them. The ConfigMaps
// are ours, so that whoever else has set the same keys is overruled.
func targetsOf(client kubernetes.Interface, result migrate.Result) (targets []target) {
	for _, s := range result.Secrets {
		secrets := client.CoreV1().Secrets(s.Namespace)
		want := applycorev1.Secret(s.Name, s.Namespace).WithLabels(s.Labels).WithType(s.Type).WithData(s.Data)
		targets = append(targets, target{
			name: "Secret " + s.Namespace + "/" + s.Name, secret: true,
			get: func(ctx context.Context) (*content, error) {
				return ofSecret(secrets.Get(ctx, s.Name, metav1.GetOptions{}))
			},
			apply: func(ctx context.Context, dryRun []string) (*content, error) {
				return ofSecret(secrets.Apply(ctx, want, metav1.ApplyOptions{FieldManager: fieldManager, DryRun: dryRun}))
			},
		})
	}
	for _, cm := range result.ConfigMaps {
		configMaps := client.CoreV1().ConfigMaps(cm.Namespace)
		want := applycorev1.ConfigMap(cm.Name, cm.Namespace).WithLabels(cm.Labels).WithData(cm.Data)
		targets = append(targets, target{
			name: "ConfigMap " + cm.Namespace + "/" + cm.Name,
			get: func(ctx context.Context) (*content, error) {
				return ofConfigMap(configMaps.Get(ctx, cm.Name, metav1.GetOptions{}))
			},
			apply: func(ctx context.Context, dryRun []string) (*content, error) {
				return ofConfigMap(configMaps.Apply(ctx, want, metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: dryRun}))
			},
		})
	}
	return targets
}

func ofConfigMap(cm *corev1.ConfigMap, err error) (*content, error) {
	if err != nil {
		return nil, err
	}
	return &content{cm.Labels, cm.Data}, nil
}

func ofSecret(s *corev1.Secret, err error) (*content, error) {
	if err != nil {
		return nil, err
	}
	data := map[string]string{}
	for key, value := range s.Data {
		data[key] = string(value)
	}
	return &content{s.Labels, data}, nil
}

// changesOf has the API server try all of it, and its webhooks, and gives the
// differences.
func changesOf(ctx context.Context, targets []target) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	var all strings.Builder
	for _, t := range targets {
		before, err := t.get(ctx)
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("%s cannot be read: %w", t.name, err)
		}
		after, err := t.apply(ctx, []string{metav1.DryRunAll})
		if err != nil {
			return "", fmt.Errorf("nothing is applied, since %s would be refused: %w", t.name, err)
		}
		difference, err := t.difference(before, after)
		if err != nil {
			return "", err
		}
		all.WriteString(difference)
	}
	return all.String(), nil
}

// difference is a unified diff.
func (t target) difference(before, after *content) (string, error) {
	if t.secret {
		before, after = hidden(before, nil), hidden(after, before)
	}
	var texts [2]string
	for i, side := range []*content{before, after} {
		if side == nil {
			continue
		}
		text, err := yaml.Marshal(side)
		if err != nil {
			return "", err
		}
		texts[i] = string(text)
	}
	return difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: slices.Collect(strings.Lines(texts[0])), B: slices.Collect(strings.Lines(texts[1])),
		FromFile: t.name + " in the cluster", ToFile: t.name + " as migrated",
		Context: 3,
	})
}

// hidden is the content without what must not be shown; what differs from the
// content before is marked.
func hidden(c, before *content) *content {
	if c == nil {
		return nil
	}
	masked := &content{c.Labels, maps.Clone(c.Data)}
	for key, value := range c.Data {
		masked.Data[key] = "(hidden)"
		if before != nil && before.Data[key] != value {
			masked.Data[key] = "(hidden, and another one)"
		}
	}
	return masked
}
