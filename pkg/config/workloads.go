package config

import (
	"github.com/sse-secure-systems/connaisseur/pkg/strict"
	"github.com/sse-secure-systems/connaisseur/pkg/workload"
)

// workloadsKey is the one entry of config-workloads.
const workloadsKey = "workloads"

// parseWorkloads reads config-workloads: the kinds that are looked at besides the
// built-in ones. There need not be such a ConfigMap.
func parseWorkloads(o Objects) (workload.Kinds, strict.Errors) {
	var errs strict.Errors
	var customs []workload.Custom
	for _, key := range o.keys(WorkloadsName) {
		if key != workloadsKey {
			errs.Add(key, "unknown key%s", strict.Suggest(key, []string{workloadsKey}))
			continue
		}
		raw, bad := strict.YAML(key, o.text(WorkloadsName, key))
		if len(bad) == 0 {
			bad = strict.Decode(key, raw, &customs)
		}
		errs = append(errs, bad...)
	}
	kinds := workload.Builtin()
	if len(errs) == 0 {
		kinds, errs = kinds.With(workloadsKey, customs)
	}
	return kinds, errs.From(WorkloadsName)
}
