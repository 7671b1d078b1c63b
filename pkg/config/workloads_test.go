package config_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Like each of the others it need not be there: an installation of before it was
// invented goes on.
func TestWorkloadsAreInTheSnapshot(t *testing.T) {
	t.Parallel()
	rollout := schema.GroupKind{Group: "argoproj.io", Kind: "Rollout"}
	for name, c := range map[string]struct {
		configMaps []any
		rollouts   bool
	}{
		"there is no such ConfigMap": {[]any{allowing()}, false},
		"it is empty":                {[]any{allowing(), configMap("config-workloads", nil)}, false},
		"its list is empty":          {[]any{allowing(), workloads("")}, false},
		"it lists Rollouts":          {[]any{allowing(), workloads(rollouts)}, true},
	} {
		kinds := build(t, objects(c.configMaps...)).Workloads
		if got := kinds.Covers(rollout); got != c.rollouts {
			t.Errorf("%s: Rollouts are covered: %t", name, got)
		}
		if !kinds.Covers(schema.GroupKind{Kind: "Pod"}) {
			t.Errorf("%s: Pods are not covered", name)
		}
	}
}

func TestWhatIsWrongWithWorkloadsIsSaidWithItsKeyPath(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key, text string
		want      []string
	}{
		"an unknown entry":        {"workload", rollouts, []string{`config-workloads: workload: unknown key; did you mean "workloads"?`}},
		"what is not YAML":        {"workloads", "[", []string{"config-workloads: workloads: is not valid YAML"}},
		"a mapping":               {"workloads", "{group: a.io}", []string{"config-workloads: workloads: must be a list, not a mapping"}},
		"an unknown key":          {"workloads", "[{group: a.io, version: v1, kind: A, path: [spec]}]", []string{`config-workloads: workloads[0].path: unknown key; did you mean "paths"?`}},
		"a path that is no list":  {"workloads", "[{group: a.io, version: v1, kind: A, paths: spec}]", []string{"config-workloads: workloads[0].paths: must be a list, not a string"}},
		"a version that is none":  {"workloads", "[{group: a.io, version: 1, kind: A, paths: [spec]}]", []string{"config-workloads: workloads[0].version: must be a string, not a number"}},
		"several errors at once":  {"workloads", "[{group: a.io, version: v1, kind: A, paths: [a..b]}, {group: apps, version: v1, kind: B, paths: [c]}]", []string{"workloads[0].paths[0]", "workloads[1].group"}},
		"Kubernetes' own Secrets": {"workloads", `[{group: "", version: v1, kind: Secret, paths: [data.x]}]`, []string{"config-workloads: workloads[0].group: is missing; only custom resources"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			built := builder().Build(objects(allowing(), configMap("config-workloads", entries{c.key: c.text})))
			wantTexts(t, built.Errors, c.want...)
			if built.Snapshot != nil {
				t.Error("there is a snapshot all the same")
			}
		})
	}
}
