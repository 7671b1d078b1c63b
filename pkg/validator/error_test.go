package validator_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

func TestErrorsAreClassifiedByTypeAndNeverByText(t *testing.T) {
	t.Parallel()
	unsigned := validator.Errorf(validator.NoSignature, "not signed")
	for name, c := range map[string]struct {
		err  error
		want validator.Reason
	}{
		"one of ours is itself":                     {unsigned, validator.NoSignature},
		"one of ours within another is found":       {fmt.Errorf("image x: %w", unsigned), validator.NoSignature},
		"the end of time is Timeout":                {fmt.Errorf("HEAD: %w", context.DeadlineExceeded), validator.Timeout},
		"a cancelled request is Timeout":            {context.Canceled, validator.Timeout},
		"anything else is Internal":                 {errors.New("no signature found"), validator.Internal},
		"a nil pointer in an error is not no error": {(*validator.Error)(nil), validator.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := validator.AsError(c.err); got == nil || got.Reason != c.want {
				t.Errorf("want %s, got %v", c.want, got)
			}
		})
	}
	if got := validator.AsError(nil); got != nil {
		t.Errorf("no error became %v", got)
	}
	cause := errors.New("cause")
	if err := validator.Errorf(validator.Internal, "it failed: %w", cause); !errors.Is(err, cause) || err.Error() != "it failed: cause" {
		t.Errorf("the cause is lost: %v", err)
	}
}

// T28: what could not be checked says nothing about the image, and is never
// taken for a denial; what is not known is taken for the former.
func TestT28OnlyReasonsThatAreKnownToBeDenialsAreConclusive(t *testing.T) {
	t.Parallel()
	for reason, want := range map[validator.Reason]bool{
		validator.NoSignature: false, validator.UntrustedSigner: false, validator.DigestMismatch: false, validator.Expired: false,
		validator.Revoked: false, validator.RolledBack: false, validator.ThresholdNotReached: false, validator.MissingRequired: false,
		validator.AmbiguousDigest: false, validator.PolicyDenied: false, validator.NoMatchingRule: false, validator.NotPinned: false,
		validator.InvalidReference: false, validator.InvalidTrustData: false, validator.ImageNotFound: false, validator.TooLarge: false,
		validator.MalformedSignature:  false,
		validator.RegistryUnavailable: true, validator.RegistryThrottled: true, validator.RegistryUnauthorized: true,
		validator.TrustDataUnavailable: true, validator.Timeout: true, validator.Internal: true, "": true, "Unheard": true,
	} {
		if got := reason.Inconclusive(); got != want {
			t.Errorf("%q: want inconclusive %v, got %v", reason, want, got)
		}
	}
}

func TestTheErrorThatSaysMoreWins(t *testing.T) {
	t.Parallel()
	rising := []*validator.Error{
		nil, {Reason: validator.MalformedSignature}, {Reason: validator.UntrustedSigner}, {Reason: validator.Expired},
		{Reason: validator.DigestMismatch}, {Reason: validator.Revoked}, {Reason: validator.RegistryUnavailable},
	}
	for i, less := range rising {
		for _, more := range rising[i:] {
			if validator.Worse(less, more) != more && more != less || validator.Worse(more, less) != more {
				t.Errorf("of %v and %v the wrong one", less, more)
			}
		}
	}
}
