{{/* Names and labels. */}}

{{- define "esc-injector.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 52 characters: "-asked-in-unlabelled-namespace" would be too long for nothing but labels, "-tls" for none. */}}
{{/* Quoted where a name alone could be read as a number. A Service's name has no dots, as a release's may. */}}
{{- define "esc-injector.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "esc-injector.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What selects the webhook's pods. Never changes: a Deployment's selector can't. */}}
{{- define "esc-injector.selectorLabels" -}}
app.kubernetes.io/name: {{ include "esc-injector.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "esc-injector.labels" -}}
{{ include "esc-injector.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: webhook
app.kubernetes.io/part-of: esc-injector
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The Secret with the serving certificate, in the modes that mount one. */}}
{{- define "esc-injector.tlsSecret" -}}
{{- .Values.certificates.secretName | default (printf "%s-tls" (include "esc-injector.fullname" .)) -}}
{{- end -}}

{{/* A value that may be off, which YAML reads as false where it is not quoted. */}}
{{- define "esc-injector.choice" -}}
{{ ternary "off" (toString .) (eq (toString .) "false") }}
{{- end -}}
