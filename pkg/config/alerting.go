package config

import (
	"fmt"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// The entries of config-alerting.
const (
	sinksKey   = "sinks"
	clusterKey = "clusterIdentifier"
)

// parseAlerting reads config-alerting: where findings go.
func parseAlerting(o Objects, source trust.Source) (settings finding.Settings, warnings, errs strict.Errors) {
	known := []string{sinksKey, clusterKey}
	for _, key := range o.keys(AlertingName) {
		raw, bad := strict.YAML(key, o.text(AlertingName, key))
		if errs = append(errs, bad...); len(bad) > 0 {
			continue
		}
		switch key {
		case clusterKey:
			errs = append(errs, strict.Decode(key, raw, &settings.Cluster)...)
		case sinksKey:
			var items []map[string]any
			errs = append(errs, strict.Decode(key, raw, &items)...)
			for i, item := range items {
				spec, warned, bad := sink.Parse(strict.Object{Path: fmt.Sprintf("%s[%d]", key, i), Fields: item}, source)
				warnings, errs = append(warnings, warned...), append(errs, bad...)
				settings.Sinks = append(settings.Sinks, spec)
			}
		default:
			errs.Add(key, "unknown key%s", strict.Suggest(key, known))
		}
	}
	names := map[string]bool{}
	for i, spec := range settings.Sinks {
		if spec.Name != "" && names[spec.Name] || spec.Name == sink.BindingName {
			errs.Add(fmt.Sprintf("%s[%d].name", sinksKey, i), "%q is the name of another sink already", spec.Name)
		}
		names[spec.Name] = true
	}
	if strings.TrimSpace(settings.Cluster) != settings.Cluster {
		errs.Add(clusterKey, "begins or ends with a space")
	}
	return settings, warnings.From(AlertingName), errs.From(AlertingName)
}
