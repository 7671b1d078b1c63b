package verify

import (
	"fmt"

	"github.com/sse-secure-systems/connaisseur/pkg/feature"
	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// Mode says what becomes of a reference that was verified.
type Mode string

// The modes of a rule.
const (
	// Mutate pins the reference to the verified digest.
	Mutate Mode = "mutate"
	// InsecureValidateOnly leaves the reference as it is: what runs later may
	// be something else than what was verified.
	InsecureValidateOnly Mode = "insecureValidateOnly"
	// MutatePodsOnly pins references in Pods only, and leaves alone what makes them:
	// so whoever compares that with files of theirs sees no difference.
	MutatePodsOnly Mode = "mutatePodsOnly"
)

// Rule is a rule of the policy with everything that it refers to.
type Rule struct {
	// Index is the rule's place in the policy, from 0.
	Index int
	// Pattern is the rule's pattern as it was written.
	Pattern string
	// ValidatorName is the validator's name in the configuration.
	ValidatorName string
	// ValidatorType is the kind of validator, as the configuration calls it.
	ValidatorType string
	// Mode is Mutate or weaker.
	Mode Mode
	// Detection has what is wrong reported, and blocks nothing.
	Detection bool
	// PullSecrets tells that the workload's own pull credentials decide what the
	// validator sees. Other validators are not told who asks.
	PullSecrets bool
	// Validator verifies with the rule's settings.
	Validator validator.Validator
	// Memory tells what Validator has verified before.
	Memory validator.Memory
	// Resolver resolves tags with the validator's access to registries.
	Resolver validator.Resolver
}

// String is the rule's key path and pattern: policy[3] "docker.io/*:*".
func (r Rule) String() string { return fmt.Sprintf("policy[%d] %q", r.Index, r.Pattern) }

// request is what the rule's validator is asked.
func (r *Rule) request(ref image.Reference, who validator.Identity) validator.Request {
	req := validator.Request{Image: ref}
	if r.PullSecrets {
		req.Identity = who
	}
	return req
}

// Snapshot is an immutable configuration. One admission sees one snapshot.
type Snapshot struct {
	// Revision identifies the configuration's content: equal configurations
	// have equal revisions, in every replica.
	Revision string
	// Namespace is where the system itself runs; nothing there is looked at.
	Namespace string
	// Policy chooses a rule; its indices are those of Rules.
	Policy *policy.Policy
	Rules  []Rule
	// Exceptions let images in for a time.
	Exceptions []Exception
	// Features are the settings of config-features.
	Features feature.Settings
	// Workloads are the kinds of objects that are looked at.
	Workloads workload.Kinds
	// Settling are kinds that are looked at only since a moment ago, or no longer.
	Settling workload.Settling
}
