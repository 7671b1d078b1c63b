package config

import (
	"fmt"
	"strings"

	"github.com/sse-secure-systems/connaisseur/pkg/alert"
	"github.com/sse-secure-systems/connaisseur/pkg/finding"
	"github.com/sse-secure-systems/connaisseur/pkg/finding/sink"
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/trust"
)

// The entries of config-alerting.
const (
	sinksKey   = "sinks"
	clusterKey = "clusterIdentifier"
	admitKey   = "admitRequest"
	rejectKey  = "rejectRequest"

	receiversKey = "receivers"
)

// alerting is where findings go, and whom alerts are sent to.
type alerting struct {
	findings finding.Settings
	alerts   alert.Settings
}

// parseAlerting reads config-alerting.
func parseAlerting(o Objects, source trust.Source) (a alerting, warnings, errs strict.Errors) {
	p := alertingParser{source: source, names: map[string]string{sink.BindingName: "a SinkBinding's sink"}}
	known := []string{admitKey, clusterKey, rejectKey, sinksKey}
	var cluster string
	for _, key := range o.keys(AlertingName) {
		raw, bad := strict.YAML(key, o.text(AlertingName, key))
		if p.errs = append(p.errs, bad...); len(bad) > 0 {
			continue
		}
		switch key {
		case clusterKey:
			p.errs = append(p.errs, strict.Decode(key, raw, &cluster)...)
		case sinksKey:
			a.findings.Sinks = p.sinks(key, raw)
		case admitKey:
			a.alerts.Admit = p.receivers(key, raw)
		case rejectKey:
			a.alerts.Reject = p.receivers(key, raw)
		default:
			p.errs.Add(key, "unknown key%s", strict.Suggest(key, known))
		}
	}
	if strings.TrimSpace(cluster) != cluster {
		p.errs.Add(clusterKey, "begins or ends with a space")
	}
	a.findings.Cluster, a.alerts.Cluster = cluster, cluster
	return a, p.warnings.From(AlertingName), p.errs.From(AlertingName)
}

// alertingParser collects what is wrong with config-alerting.
type alertingParser struct {
	source         trust.Source
	names          map[string]string // of what is told something → what that is
	warnings, errs strict.Errors
}

func (p *alertingParser) sinks(key string, raw any) (specs []finding.Spec) {
	for i, item := range p.list(key, raw) {
		at := strict.Object{Path: fmt.Sprintf("%s[%d]", key, i), Fields: item}
		spec, warned, bad := sink.Parse(at, p.source)
		p.warnings, p.errs = append(p.warnings, warned...), append(p.errs, bad...)
		p.name(at, spec.Name, "another sink")
		specs = append(specs, spec)
	}
	return specs
}

// receivers reads those of alerts. One without a name has that of its list, and its
// number in it.
func (p *alertingParser) receivers(key string, raw any) (receivers []alert.Receiver) {
	var section struct {
		Receivers any `config:"receivers"`
	}
	p.errs = append(p.errs, strict.Decode(key, raw, &section)...)
	key += "." + receiversKey
	for i, item := range p.list(key, section.Receivers) {
		at := strict.Object{Path: fmt.Sprintf("%s[%d]", key, i), Fields: item}
		receiver, warned, bad := alert.Parse(at, p.source)
		p.warnings, p.errs = append(p.warnings, warned...), append(p.errs, bad...)
		if receiver.Name == "" {
			receiver.Name = fmt.Sprintf("%s-%d", strings.TrimSuffix(key, "."+receiversKey), i)
		}
		p.name(at, receiver.Name, "another receiver")
		receivers = append(receivers, receiver)
	}
	return receivers
}

func (p *alertingParser) list(key string, raw any) (items []map[string]any) {
	p.errs = append(p.errs, strict.Decode(key, raw, &items)...)
	return items
}

// name takes a name, which nothing else must have: metrics and log name things by it.
func (p *alertingParser) name(at strict.Object, name, what string) {
	if by, taken := p.names[name]; taken && name != "" {
		p.errs.Add(at.Key("name"), "%q is the name of %s already", name, by)
		return
	}
	p.names[name] = what
}
