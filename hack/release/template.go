package main

import (
	"fmt"
	"strings"
)

// notInChart is what Helm's user creates: a release is kept in its namespace.
const notInChart = "100-namespace.yaml"

// edit replaces what must be in a text once.
type edit struct{ old, replacement string }

// end stands for the end of a manifest.
const end = "\x00"

// apply makes edits.
func apply(name, text string, edits []edit) (string, error) {
	for _, e := range edits {
		if n := strings.Count(text, e.old); n != 1 {
			return "", fmt.Errorf("%s has %d times, not once: %s", name, n, e.old)
		}
		text = strings.Replace(text, e.old, e.replacement, 1)
	}
	return text, nil
}

// data appends entries to a ConfigMap, whose data is the last thing in its file.
func data(entries string) edit {
	return edit{end, `{{ include "connaisseur.data" ` + entries + " }}\n"}
}

// optional is a list or mapping of the values, which is left out where it is empty.
func optional(value, key string, indent int) string {
	margin := strings.Repeat(" ", indent)
	return fmt.Sprintf("%[1]s{{- with .Values.kubernetes.%[2]s }}\n%[1]s%[3]s:\n%[1]s  {{- toYaml . | nindent %[4]d }}\n%[1]s{{- end }}\n",
		margin, value, key, indent+2)
}

// inChart says what of each manifest is a value in the chart.
var inChart = map[string][]edit{
	"200-clusterrole.yaml": {
		{"resources: [namespaces]\n    resourceNames: [connaisseur]", "resources: [namespaces]\n    resourceNames: [{{ .Release.Namespace }}]"},
	},
	"200-serviceaccount.yaml": {
		{end, optional("serviceaccount.annotations", "annotations", 2)},
	},
	"300-config-alerting.yaml":    {data(".Values.alerting")},
	"300-config-features.yaml":    {{end, "{{ include \"connaisseur.features\" . }}\n"}},
	"300-config-policy.yaml":      {data(`(dict "validators" .Values.application.validators "policy" .Values.application.policy "registries" .Values.application.registries)`)},
	"300-config-trust-roots.yaml": {data(".Values.application.trustRoots")},
	"300-config-workloads.yaml":   {data(`(dict "workloads" .Values.application.workloads)`)},
	"300-config-logging.yaml":     {{"loglevel.webhook: info", "loglevel.webhook: {{ .Values.application.logLevel }}"}},
	"300-config-observability.yaml": {
		{"  metrics-protocol: prometheus\n", ""},
		{"  tracing-protocol: none\n", ""},
		data(".Values.application.observability"),
	},
	"300-secret.yaml": {
		{"# The webhook's certificate,", "{{- if eq .Values.kubernetes.deployment.tls.source \"webhook\" }}\n# The webhook's certificate,"},
		{end, "{{- end }}\n"},
	},
	"600-deployment.yaml": {
		{"    app.kubernetes.io/component: webhook\nspec:\n  replicas: 2\n", "    app.kubernetes.io/component: webhook\n" +
			optional("deployment.annotations", "annotations", 2) + "spec:\n  replicas: {{ .Values.kubernetes.deployment.replicasCount }}\n"},
		{"        app.kubernetes.io/component: webhook\n    spec:\n", `        app.kubernetes.io/component: webhook
        {{- with .Values.kubernetes.deployment.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        checksum/observability: {{ toJson .Values.application.observability | sha256sum }}
        {{- with .Values.kubernetes.deployment.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
` + optional("deployment.imagePullSecrets", "imagePullSecrets", 6) +
			optional("deployment.nodeSelector", "nodeSelector", 6) + optional("deployment.tolerations", "tolerations", 6)},
		{"      affinity:\n", "      affinity:\n        {{- with .Values.kubernetes.deployment.affinity }}\n        {{- toYaml . | nindent 8 }}\n        {{- else }}\n"},
		{"      securityContext:\n        runAsNonRoot: true\n        seccompProfile:\n          type: RuntimeDefault\n      containers:\n",
			"        {{- end }}\n      securityContext:\n        runAsNonRoot: true\n        seccompProfile:\n          type: RuntimeDefault\n      containers:\n"},
		{"          image: " + koImage + "\n", "          image: {{ include \"connaisseur.image\" . }}\n          {{- with .Values.kubernetes.deployment.pullPolicy }}\n          imagePullPolicy: {{ . }}\n          {{- end }}\n"},
		{"              value: \"200MiB\"\n", "              value: {{ .Values.kubernetes.deployment.goMemLimit | quote }}\n" +
			"            {{- with .Values.kubernetes.deployment.envs }}\n            {{- toYaml . | nindent 12 }}\n            {{- end }}\n"},
		{`            requests:
              cpu: 100m
              memory: 128Mi
            limits:
              cpu: "2"
              memory: 256Mi
`, "            {{- toYaml .Values.kubernetes.deployment.resources | nindent 12 }}\n"},
	},
	"600-poddisruptionbudget.yaml": {
		// Otherwise a node with the only replica could not be drained.
		{"minAvailable: 1", "minAvailable: {{ min 1 (sub .Values.kubernetes.deployment.replicasCount 1) }}"},
	},
}

// template makes a template of the chart from a manifest.
func template(name, manifest string) (string, error) {
	if strings.Contains(manifest, "{{") {
		return "", fmt.Errorf("%s has {{, which means something to Helm", name)
	}
	text := strings.ReplaceAll(manifest, "  namespace: connaisseur\n", "  namespace: {{ .Release.Namespace }}\n") + end
	text, err := apply(name, text, inChart[name])
	return strings.TrimSuffix(text, end), err
}
