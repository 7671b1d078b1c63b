package docs

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

// A drain leaves a replica that answers, and is not kept by those that do not.
func TestADrainIsNotKeptByReplicasThatAreNotReady(t *testing.T) {
	t.Parallel()
	var budget policyv1.PodDisruptionBudget
	var deployment appsv1.Deployment
	for name, into := range map[string]any{"config/600-poddisruptionbudget.yaml": &budget, "config/600-deployment.yaml": &deployment} {
		if err := yaml.UnmarshalStrict([]byte(read(t, name)), into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if diff := cmp.Diff(deployment.Spec.Selector, budget.Spec.Selector); diff != "" || budget.Namespace != deployment.Namespace {
		t.Error("it is for other Pods:", diff)
	}
	if least := budget.Spec.MinAvailable.IntVal; least < 1 || least >= *deployment.Spec.Replicas {
		t.Errorf("%d of %d replicas must stay", least, *deployment.Spec.Replicas)
	}
	if policy := budget.Spec.UnhealthyPodEvictionPolicy; policy == nil || *policy != policyv1.AlwaysAllow {
		t.Error("where no replica is ready, no node can be drained")
	}
}
