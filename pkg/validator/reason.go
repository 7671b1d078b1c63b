package validator

// Reason says in one word why an image is not trusted. Reasons are stable:
// they stand in events, metrics and audit annotations.
type Reason string

// Reasons to deny: it was checked, and the answer is no.
const (
	NoSignature         Reason = "NoSignature"
	UntrustedSigner     Reason = "UntrustedSigner"
	DigestMismatch      Reason = "DigestMismatch"
	Expired             Reason = "Expired"
	Revoked             Reason = "Revoked"
	RolledBack          Reason = "RolledBack"
	ThresholdNotReached Reason = "ThresholdNotReached"
	MissingRequired     Reason = "MissingRequired"
	AmbiguousDigest     Reason = "AmbiguousDigest"
	PolicyDenied        Reason = "PolicyDenied"
	NoMatchingRule      Reason = "NoMatchingRule"
	NotPinned           Reason = "NotPinned"
	InvalidReference    Reason = "InvalidReference"
	InvalidTrustData    Reason = "InvalidTrustData"
	ImageNotFound       Reason = "ImageNotFound"
	TooLarge            Reason = "TooLarge"
	MalformedSignature  Reason = "MalformedSignature"
)

// Reasons for which it could not be checked. They deny too, but say nothing
// about the image.
const (
	RegistryUnavailable  Reason = "RegistryUnavailable"
	RegistryThrottled    Reason = "RegistryThrottled"
	RegistryUnauthorized Reason = "RegistryUnauthorized"
	TrustDataUnavailable Reason = "TrustDataUnavailable"
	Timeout              Reason = "Timeout"
	Internal             Reason = "Internal"
)

// Inconclusive tells whether the reason is one for which an image could not be
// checked, rather than one for which it was refused. A reason that is not
// known is inconclusive.
func (r Reason) Inconclusive() bool {
	switch r {
	case NoSignature, UntrustedSigner, DigestMismatch, Expired, Revoked, RolledBack,
		ThresholdNotReached, MissingRequired, AmbiguousDigest, PolicyDenied,
		NoMatchingRule, NotPinned, InvalidReference, InvalidTrustData,
		ImageNotFound, TooLarge, MalformedSignature:
		return false
	}
	return true
}
