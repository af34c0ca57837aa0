{{/* `helm test`: objects that come and go with it. */}}

{{/* Not the selector's labels: the Service must not lead to the test. */}}
{{- define "esc-injector.testLabels" -}}
app.kubernetes.io/name: {{ include "esc-injector.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: test
app.kubernetes.io/part-of: esc-injector
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A hook of the given weight. A pod that failed stays, for its log; rights never do. */}}
{{- define "esc-injector.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded{{ if . }},hook-failed{{ end }}
{{- end -}}
