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
	// AlertNotSent: whoever must know of an admission could not be told.
	AlertNotSent Reason = "AlertNotSent"
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

// Advice says what somebody whose image is refused for the reason can do;
// empty where the message itself says it.
func (r Reason) Advice() string {
	switch r {
	case NoSignature:
		return "sign the image, or ask those who run the cluster whose signatures it trusts"
	case UntrustedSigner, ThresholdNotReached, MissingRequired:
		return "have the image signed (or attested, if that is what is missing) by whom the cluster trusts, or ask those who run the cluster to trust you"
	case InvalidTrustData, Expired:
		return "sign the image again, with what the rule demands; if others are denied for this too, those who run the cluster should look at the logs and authorities in config-policy"
	case DigestMismatch, MalformedSignature:
		return "sign the image again; if that does not help, somebody may have tampered with it or with the registry"
	case NoMatchingRule:
		return "ask those who run the cluster for a rule for this image in config-policy"
	case PolicyDenied:
		return "the rule in config-policy says what it demands; ask those who run the cluster if it should not"
	case NotPinned:
		return "have whatever adds the container do so before Connaisseur's webhook, or refer to the image by digest"
	case RegistryUnavailable, RegistryThrottled, Timeout, TrustDataUnavailable, AlertNotSent:
		return "try again; if that does not help, tell those who run the cluster"
	case Internal:
		return "tell those who run the cluster"
	}
	return ""
}
