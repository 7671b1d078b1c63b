package cosign

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// diagnose says why a candidate that seems to be by the signer is not accepted.
// The library has one kind of error; which it is follows from what is there.
func (s *signer) diagnose(c *candidate, material root.TrustedMaterial, cause error) *validator.Error {
	who := s.describe(c)
	switch {
	case s.key == nil && s.expired(c, material):
		leaf := c.leaf.Certificate()
		return validator.Errorf(validator.Expired, "the certificate of %s was valid from %s to %s, but the signature was made or is used at another time",
			who, leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
	case c.unreadable != nil && (s.needs.log && len(c.entries) == 0 || len(c.timestamps) == 0 && !s.needs.log):
		return validator.Errorf(validator.MalformedSignature, "a signature by %s comes with something else than it should: %s", who, validator.Quote(c.unreadable.Error()))
	case s.needs.log && len(c.entries) == 0:
		return validator.Errorf(validator.InvalidTrustData, "a signature by %s comes without an entry of a transparency log; "+
			"sign with one, or have verifyInTransparencyLog: false set for the rule", who)
	case s.needs.log && !s.knowsLog(c):
		return validator.Errorf(validator.InvalidTrustData, "a signature by %s was logged by a transparency log that is not among those of the configuration (log ID %s); "+
			"its key belongs into host.rekorPubkey or host.trustedRoot, and for a Rekor of version 2 its URL into host.rekor", who, logIDs(c))
	case s.needs.timestamp && len(c.timestamps) == 0:
		return validator.Errorf(validator.InvalidTrustData, "a signature by %s comes without a timestamp of a timestamp authority", who)
	}
	return validator.Errorf(validator.InvalidTrustData, "a signature by %s does not hold: %s", who, validator.Quote(cause.Error()))
}

// expired tells whether the candidate was made, or is used, when its
// certificate is not valid.
func (s *signer) expired(c *candidate, material root.TrustedMaterial) bool {
	var times []time.Time
	for _, entry := range c.entries {
		if t := entry.IntegratedTime(); !t.IsZero() {
			times = append(times, t)
		}
	}
	stamps, _, err := verify.VerifySignedTimestamp(&entity{candidate: c, material: c.leaf}, material)
	if err == nil {
		for _, stamp := range stamps {
			times = append(times, stamp.Time)
		}
	}
	if s.needs.now {
		times = append(times, time.Now())
	}
	for _, t := range times {
		if !c.leaf.ValidAtTime(t, material) {
			return true
		}
	}
	return false
}

// knowsLog tells whether one of the logs that made entries is trusted.
func (s *signer) knowsLog(c *candidate) bool {
	for _, entry := range c.entries {
		if _, ok := s.material.RekorLogs()[hex.EncodeToString([]byte(entry.LogKeyID()))]; ok {
			return true
		}
	}
	return false
}

func logIDs(c *candidate) string {
	var ids []string
	for _, entry := range c.entries {
		ids = append(ids, fmt.Sprintf("%.64x", entry.LogKeyID()))
	}
	return strings.Join(ids, ", ")
}

// rawDigest splits a digest for the library.
func rawDigest(d image.Digest) (algorithm string, raw []byte, ok bool) {
	algorithm, hexed, ok := strings.Cut(string(d), ":")
	raw, err := hex.DecodeString(hexed)
	return algorithm, raw, ok && err == nil
}
