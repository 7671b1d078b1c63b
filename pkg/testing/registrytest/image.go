package registrytest

import "strings"

// Image is an image or an index in a registry.
type Image struct {
	Host       string
	Repository string
	Tag        string // "" for an image that only an index refers to
	Digest     string // sha256:…
}

// String is host/repository:tag, or host/repository@digest where there is no
// tag.
func (i Image) String() string {
	if i.Tag == "" {
		return i.ByDigest()
	}
	return i.Name() + ":" + i.Tag
}

// Name is host/repository.
func (i Image) Name() string { return i.Host + "/" + i.Repository }

// ByDigest is host/repository@digest.
func (i Image) ByDigest() string { return i.Name() + "@" + i.Digest }

// Pinned is host/repository:tag@digest.
func (i Image) Pinned() string { return i.Name() + ":" + i.Tag + "@" + i.Digest }

// SignatureTag is the tag where cosign 2 stores the image's signatures.
func (i Image) SignatureTag() string { return i.ReferrersTag() + ".sig" }

// AttestationTag is the tag where cosign 2 stores the image's attestations.
func (i Image) AttestationTag() string { return i.ReferrersTag() + ".att" }

// ReferrersTag is the tag of the index of referrers where a registry has no
// referrers API. OCI distribution specification 1.1, "Referrers Tag Schema".
func (i Image) ReferrersTag() string { return strings.Replace(i.Digest, ":", "-", 1) }
