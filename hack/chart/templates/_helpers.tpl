{{/* The image, whose tag may be a digest. */}}
{{- define "connaisseur.image" -}}
{{- $image := .Values.kubernetes.deployment.image -}}
{{- $tag := required "kubernetes.deployment.image.tag is not set" $image.tag -}}
{{- required "kubernetes.deployment.image.repository is not set" $image.repository }}
{{- hasPrefix "sha256:" $tag | ternary "@" ":" }}{{ $tag }}
{{- end -}}

{{/* Entries of a ConfigMap: what is no text becomes YAML, and what is not set is left out. */}}
{{- define "connaisseur.data" -}}
{{- $data := dict }}
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{- $_ := set $data $key (kindIs "string" $value | ternary $value (toYaml $value)) }}
{{- end }}
{{- end }}
{{- with $data }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end -}}

{{/* Puts the leaves of a tree into a dict, by their paths. */}}
{{- define "connaisseur.flatten" -}}
{{- $into := .into }}
{{- $at := .at }}
{{- range $key, $value := .tree }}
{{- if kindIs "map" $value }}
{{- include "connaisseur.flatten" (dict "tree" $value "at" (printf "%s%s." $at $key) "into" $into) }}
{{- else }}
{{- $_ := set $into (printf "%s%s" $at $key) $value }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Entries of config-features. */}}
{{- define "connaisseur.features" -}}
{{- $features := dict }}
{{- include "connaisseur.flatten" (dict "tree" .Values.application.features "at" "" "into" $features) }}
{{- include "connaisseur.flatten" (dict "tree" .Values.kubernetes.webhook "at" "webhook." "into" $features) }}
{{- include "connaisseur.data" $features }}
{{- end -}}
