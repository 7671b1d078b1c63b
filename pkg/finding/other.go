package finding

import (
	"time"
)

// Config is the data of an event about a configuration.
type Config struct {
	// PolicyRevision is that of the configuration in force; empty if there is none.
	PolicyRevision string `json:"policyRevision,omitempty"`
	// Restored tells that it was kept from before a restart, since the newest is
	// refused.
	Restored bool `json:"restored,omitempty"`
	// Rules is how many the policy in force has.
	Rules int `json:"rules"`
	// Insecure are its settings that take protection away, each with its key.
	Insecure []string `json:"insecure,omitempty"`
	// Errors say why the newest is refused, each with its key.
	Errors []string `json:"errors,omitempty"`
	// Pod is the replica that it is about; each has a configuration.
	Pod string `json:"pod,omitempty"`
}

// Exception is the data of an event about an exception of the policy that has ended.
type Exception struct {
	Exception int       `json:"exception"`
	Pattern   string    `json:"pattern"`
	Until     time.Time `json:"until"`
	Reason    string    `json:"reason"`
}

// Trust is the data of an event about trust material that expires.
type Trust struct {
	// Validator is the validator that has it.
	Validator string `json:"validator"`
	// TrustRoot is its trust root, or the key of the validator that it is from.
	TrustRoot string    `json:"trustRoot"`
	Expires   time.Time `json:"expires"`
	Expired   bool      `json:"expired"`
}
