package sink

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/kelseyhightower/envconfig"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
)

// BindingName names the sink that a SinkBinding sets.
const BindingName = "K_SINK"

// sinkBinding is what a Knative SinkBinding puts into a container's environment.
// https://knative.dev/docs/eventing/custom-event-source/sinkbinding/
type sinkBinding struct {
	Sink      string `envconfig:"K_SINK"`
	Overrides string `envconfig:"K_CE_OVERRIDES"`
	CACerts   string `envconfig:"K_CA_CERTS"`
}

// oidcToken is where it mounts a token for the sink, if that wants one.
const oidcToken = "/oidc/token"

// Bound is the sink that a SinkBinding sets, beside those of the configuration; nil
// if there is none.
func Bound() (*finding.Spec, error) {
	var b sinkBinding
	if err := envconfig.Process("", &b); err != nil {
		return nil, err
	}
	if b.Sink == "" {
		return nil, nil //nolint:nilnil // most have none
	}
	target, err := url.Parse(b.Sink)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil, fmt.Errorf("K_SINK is %q, but must be a URL with http:// or https://", b.Sink)
	}
	var overrides struct {
		Extensions map[string]string `json:"extensions"`
	}
	if b.Overrides != "" {
		if err := json.Unmarshal([]byte(b.Overrides), &overrides); err != nil {
			return nil, fmt.Errorf("K_CE_OVERRIDES: %w", err)
		}
	}
	var authorities *x509.CertPool
	if b.CACerts != "" {
		if authorities, err = withSystem([]byte(b.CACerts)); err != nil {
			return nil, fmt.Errorf("K_CA_CERTS %w", err)
		}
	}
	spec := httpSink{target: target.String(), mode: binary, token: mountedToken, client: newClient(authorities)}.spec()
	spec.Name, spec.Identity, spec.Extensions = BindingName, BindingName, overrides.Extensions
	return &spec, nil
}

// mountedToken is read each time, since it is replaced before it expires.
func mountedToken() (string, error) {
	text, err := os.ReadFile(oidcToken)
	if os.IsNotExist(err) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}
