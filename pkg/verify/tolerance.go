package verify

import (
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/policy"
)

// Tolerance is why an image is admitted although it is denied or could not be
// checked. Each is a weaker mode that somebody has chosen, and leaves a trace.
type Tolerance string

// The tolerances.
const (
	// Detection reports what is wrong and blocks nothing.
	Detection Tolerance = "Detection"
	// PodsOnly blocks Pods only, and this is a template for some.
	PodsOnly Tolerance = "PodsOnly"
	// Excepted is what an exception of the policy is for.
	Excepted Tolerance = "Exception"
	// LastKnownGood is what was verified before, and cannot be just now.
	LastKnownGood Tolerance = "LastKnownGood"
	// NothingChanged is what the object had before, and cannot be checked just now.
	NothingChanged Tolerance = "NothingChanged"
)

// Exception lets images in for a time, whatever is wrong with them.
type Exception struct {
	// Index is the exception's place in the configuration, from 0.
	Index int
	// Pattern and Namespaces are as a rule has them, and compiled.
	Pattern  string
	Compiled *policy.Policy
	// Until is when it ends.
	Until time.Time
	// Reason is why there is one, for those who read the log.
	Reason string
}

// covers tells whether the exception is for an image now. A tag beside a digest
// is only a claim, and does not count.
func (e *Exception) covers(ref image.Reference, namespace string, now time.Time) bool {
	if !now.Before(e.Until) || ref.IsZero() {
		return false
	}
	if ref.Digest() != "" {
		ref = ref.WithoutTag()
	}
	_, ok := e.Compiled.Match(ref, namespace)
	return ok
}

// exception is the first of the snapshot's that is for an image now; nil if none
// is.
func (s *Snapshot) exception(ref image.Reference, namespace string, now time.Time) *Exception {
	for i := range s.Exceptions {
		if e := &s.Exceptions[i]; e.covers(ref, namespace, now) {
			return e
		}
	}
	return nil
}

// Lenience is what an image is granted should it fail, whatever for; pod tells
// whether it is a Pod's. detects is the detection of the rule that applies. That
// counts if the rule is known to apply: a tag beside a digest that nobody could look
// up is only a claim.
func (s *Snapshot) Lenience(ref image.Reference, namespace string, pod, detects bool, now time.Time) (Tolerance, *Exception) {
	if exception := s.exception(ref, namespace, now); exception != nil {
		return Excepted, exception
	}
	switch {
	case s.Features.DetectionMode, detects:
		return Detection, nil
	case s.Features.PodsOnly() && !pod:
		return PodsOnly, nil
	}
	return "", nil
}
