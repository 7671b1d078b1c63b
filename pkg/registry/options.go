package registry

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/sse-secure-systems/connaisseur/pkg/observability"
)

// Host is how one registry is reached.
type Host struct {
	// Name is the registry's host[:port] as it stands in image references.
	Name string
	// Insecure allows plain HTTP, unverified TLS and this machine's own
	// addresses, for this registry only.
	Insecure bool
	// Mirror, host[:port][/prefix], is asked instead of the registry; there is
	// no falling back to the registry itself. Insecure and CAs are then the
	// mirror's, and so are the credentials that are looked for.
	Mirror string
	// CAs is a PEM bundle that is trusted for this registry in addition to the
	// system's certification authorities.
	CAs []byte
}

// Limits bound what a registry can make us read. A zero field stands for its
// default.
type Limits struct {
	// ManifestBytes bounds one manifest.
	ManifestBytes int64
	// PayloadBytes bounds what one signature was made over; all of one image
	// together may be eight times as large.
	PayloadBytes int64
	// Signatures bounds the signatures of one image, and its attestations.
	Signatures int
	// AttestationBytes bounds one attestation where attestations are asked
	// for; all of one image together may be four times as large.
	AttestationBytes int64
}

// DefaultLimits are far above what honest images need: a cosign signature with
// its certificates and log entry takes about 10 KiB of a manifest, its payload
// less than 1 KiB.
func DefaultLimits() Limits {
	return Limits{ManifestBytes: 1 << 20, PayloadBytes: 128 << 10, Signatures: 100, AttestationBytes: 2 << 20}
}

func (l Limits) orDefaults() Limits {
	d := DefaultLimits()
	l.ManifestBytes = cmp.Or(max(l.ManifestBytes, 0), d.ManifestBytes)
	l.PayloadBytes = cmp.Or(max(l.PayloadBytes, 0), d.PayloadBytes)
	l.AttestationBytes = cmp.Or(max(l.AttestationBytes, 0), d.AttestationBytes)
	l.Signatures = cmp.Or(max(l.Signatures, 0), d.Signatures)
	return l
}

// allPayloads bounds the payloads of one image together. Signatures that differ
// in nothing but the key have the same payload, which counts once.
func (l Limits) allPayloads() int64 { return 8 * l.PayloadBytes }

// allAttestations bounds the attestations of one image together.
func (l Limits) allAttestations() int64 { return 4 * l.AttestationBytes }

// Options are the settings of a Client. The zero value is ready for use and is
// the strictest.
type Options struct {
	// Hosts are the registries that are not reached in the ordinary way.
	Hosts []Host
	// CAs is a PEM bundle that is trusted for every registry in addition to the
	// system's certification authorities.
	CAs []byte
	// Limits bound what is read.
	Limits Limits
	// Timeout bounds each call beyond what its context says; zero means 30 s.
	Timeout time.Duration
	// UserAgent is what registries are told; empty means "connaisseur".
	UserAgent string
	// Proxy chooses the proxy of a request; nil means
	// http.ProxyFromEnvironment. Behind a proxy it is the proxy that resolves
	// names, and so the proxy that must keep them off internal addresses.
	Proxy func(*http.Request) (*url.URL, error)
	// Instruments measure requests; nil measures nothing.
	Instruments *observability.Instruments
}

func (o Options) orDefaults() Options {
	o.Limits = o.Limits.orDefaults()
	o.Timeout = cmp.Or(max(o.Timeout, 0), 30*time.Second)
	o.UserAgent = cmp.Or(o.UserAgent, "connaisseur")
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	return o
}
