package cosign

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/image"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
	"github.com/sse-secure-systems/connaisseur/pkg/validator"
)

// hostConfig is the Sigstore of a validator as the configuration has it. What is
// not configured is that of the public-good instance.
type hostConfig struct {
	Rekor               string     `config:"rekor"`
	RekorPubkey         string     `config:"rekorPubkey"`
	FulcioCert          string     `config:"fulcioCert"`
	CTLogPubkey         string     `config:"ctLogPubkey"`
	TSACert             string     `config:"tsaCert"`
	TrustedRoot         string     `config:"trustedRoot"`
	TUF                 *tufConfig `config:"tuf"`
	SignatureRepository string     `config:"signatureRepository"`
}

// tufConfig is where a trusted_root.json is kept up to date.
type tufConfig struct {
	Mirror string `config:"mirror"`
	Root   string `config:"root"`
}

// needs are the proofs that a rule demands, and so the trust material.
type needs struct {
	log       bool // an entry of a transparency log
	authority bool // certificates of the Sigstore's own authority
	sct       bool // signed certificate timestamps
	timestamp bool // of a timestamp authority
	now       bool // certificates must be valid at present
}

// host is a validator's Sigstore.
type host struct {
	path   string
	config hostConfig
	source trust.Source
	// rekor, fulcio, ctLog and tsa are nil where nothing is configured; all
	// holds everything of a configured trusted_root.json.
	rekor, fulcio, ctLog, tsa, all *trust.Material
	unavailable                    error
	tufRoot                        string
	repository                     image.Reference
}

// newHost reads what is configured. Nothing is fetched.
func newHost(path string, config hostConfig, source trust.Source) (*host, strict.Errors) {
	if config.Rekor != "" && !strings.Contains(config.Rekor, "://") {
		config.Rekor = "https://" + config.Rekor // as Connaisseur's users have it
	}
	h := &host{path: path, config: config, source: source}
	var errs strict.Errors
	if err := checkURL(config.Rekor); err != nil {
		errs.Add(path+".rekor", "%v", err)
	}
	h.rekor = h.load("rekorPubkey", config.RekorPubkey, func(text []byte) (*trust.Material, error) { return trust.ParseRekor(text, config.Rekor) }, &errs)
	h.fulcio = h.load("fulcioCert", config.FulcioCert, trust.ParseFulcio, &errs)
	h.ctLog = h.load("ctLogPubkey", config.CTLogPubkey, trust.ParseCTLog, &errs)
	h.tsa = h.load("tsaCert", config.TSACert, trust.ParseTimestampAuthority, &errs)
	h.all = h.load("trustedRoot", config.TrustedRoot, trust.ParseTrustedRoot, &errs)
	pieces := config.RekorPubkey + config.FulcioCert + config.CTLogPubkey + config.TSACert
	if config.TrustedRoot != "" && (pieces != "" || config.TUF != nil) {
		errs.Add(path+".trustedRoot", "holds everything; rekorPubkey, fulcioCert, ctLogPubkey, tsaCert and tuf cannot stand beside it")
	}
	if config.TUF != nil {
		h.tufRoot = loadPiece(h, "tuf.root", config.TUF.Root, func(text []byte) (string, error) { return string(text), nil }, &errs)
		if err := (trust.Remote{TUF: config.TUF.Mirror, Root: h.tufRoot}).Check(); config.TUF.Mirror == "" {
			errs.Add(path+".tuf.mirror", "is missing; it must be the URL of a TUF repository")
		} else if err != nil {
			errs.Add(path+".tuf.mirror", "%v", err)
		}
	}
	if config.SignatureRepository != "" {
		repository, err := image.Parse(config.SignatureRepository)
		if err != nil || repository.Digest() != "" || strings.Contains(lastComponent(config.SignatureRepository), ":") {
			errs.Add(path+".signatureRepository", "%q is not the name of a repository", config.SignatureRepository)
		}
		h.repository = repository
	}
	return h, errs
}

func lastComponent(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// load reads one piece; nil if it is not configured or cannot be read.
func (h *host) load(key, reference string, parse func([]byte) (*trust.Material, error), errs *strict.Errors) *trust.Material {
	material := loadPiece(h, key, reference, parse, errs)
	if material == nil && h.unavailable != nil && reference != "" {
		return &trust.Material{} // it is configured, and must not come from elsewhere
	}
	return material
}

// loadPiece reads one piece; the zero value if it is not configured or cannot be
// read.
func loadPiece[T any](h *host, key, reference string, parse func([]byte) (T, error), errs *strict.Errors) T {
	if reference == "" {
		return *new(T)
	}
	piece, err := trust.Load(h.path+"."+key, reference, h.source, parse)
	if err != nil {
		*errs = append(*errs, err)
	}
	if piece.Unavailable != nil {
		h.unavailable = piece.Unavailable
	}
	return piece.Value
}

// checkURL accepts https, and http on this machine only.
func checkURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%.80q is not a URL like https://HOST", text)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !trust.Loopback(u.Hostname())) {
		return fmt.Errorf("%.80q must begin with https://", text)
	}
	return nil
}

// hasTimestamps tells whether a timestamp authority is configured, or may come
// with what is fetched on purpose.
func (h *host) hasTimestamps() bool {
	return h.tsa != nil || h.config.TUF != nil || h.all != nil && len(h.all.TimestampingAuthorities()) > 0
}

// hasCTLogs tells the same of certificate transparency logs.
func (h *host) hasCTLogs() bool {
	return h.ctLog != nil || h.config.TUF != nil || h.all != nil && len(h.all.CTLogs()) > 0
}

// material is what the needs demand; what is not configured is fetched, and what
// nobody needs is not. The error says why something is not there, yet.
func (h *host) material(n needs) (*trust.Material, *validator.Error) {
	if h.unavailable != nil && n != (needs{}) {
		return nil, validator.Errorf(validator.TrustDataUnavailable, "the trust material of %s cannot be read: %w", h.path, h.unavailable)
	}
	if h.all != nil {
		return h.all, nil
	}
	var missing *trust.Material
	if len(h.lacks(n)) > 0 {
		var err error
		if missing, err = h.fetch(); err != nil {
			return nil, validator.Errorf(validator.TrustDataUnavailable, "Sigstore's trusted root, which has what %s does not (%s): %w; configure it, make the trusted root reachable, or see whether the rule needs it",
				h.path, strings.Join(h.lacks(n), ", "), err)
		}
	}
	tsa := h.tsa
	if tsa == nil && missing != nil {
		tsa = missing.Timestamps()
	}
	pick := func(configured *trust.Material, part func(*trust.Material) *trust.Material) *trust.Material {
		if configured != nil || missing == nil {
			return configured
		}
		return part(missing)
	}
	return trust.Join(
		pick(h.rekor, (*trust.Material).Logs), pick(h.fulcio, (*trust.Material).Authorities),
		pick(h.ctLog, (*trust.Material).CertificateLogs), tsa), nil
}

// lacks names the keys that are needed and not configured.
func (h *host) lacks(n needs) (keys []string) {
	for _, piece := range []struct {
		key    string
		needed bool
		there  *trust.Material
	}{{"rekorPubkey", n.log, h.rekor}, {"fulcioCert", n.authority, h.fulcio}, {"ctLogPubkey", n.sct, h.ctLog}, {"tsaCert", n.timestamp, h.tsa}} {
		if piece.needed && piece.there == nil {
			keys = append(keys, piece.key)
		}
	}
	return keys
}

// fetch gives the trusted root of the TUF repository.
func (h *host) fetch() (*trust.Material, error) {
	from := trust.Remote{TUF: trust.DefaultTUF}
	if h.config.TUF != nil {
		from.TUF = h.config.TUF.Mirror
		from.Root = h.tufRoot
	}
	text, err := h.source.Remote(from)
	if err != nil {
		return nil, err
	}
	return trust.ParseTrustedRoot(text)
}
