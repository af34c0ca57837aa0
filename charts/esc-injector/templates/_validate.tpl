{{/* What no schema can say, or not clearly. */}}
{{- define "esc-injector.validate" -}}
{{- $certificates := .Values.certificates -}}
{{- if eq $certificates.mode "secret" -}}
{{- if not $certificates.secretName -}}
{{- fail "certificates.mode is secret: set certificates.secretName to the Secret that holds tls.crt and tls.key" -}}
{{- end -}}
{{- if not (contains "-----BEGIN CERTIFICATE-----" $certificates.caBundle) -}}
{{- fail "certificates.mode is secret: set certificates.caBundle to the PEM of the CA that issued the certificate (--set-file certificates.caBundle=ca.crt)" -}}
{{- end -}}
{{- else if $certificates.caBundle -}}
{{- fail (printf "certificates.caBundle is for certificates.mode secret, and the mode is %s, which sets it by itself" $certificates.mode) -}}
{{- end -}}
{{- if and (eq $certificates.mode "self") $certificates.secretName -}}
{{- fail "certificates.secretName is for the modes secret and certManager, and the mode is self" -}}
{{- end -}}
{{- if and .Values.auth.accessTokenSecret (hasKey .Values.defaults "access-token-secret") -}}
{{- fail "auth.accessTokenSecret and defaults.access-token-secret say the same: remove one" -}}
{{- end -}}
{{- range $key, $value := .Values.defaults -}}
{{- if and (kindIs "map" $value) (ne $key "config") -}}
{{- fail (printf "defaults.%s is an object, and only defaults.config may be one" $key) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is greater than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if eq (include "esc-injector.port" .) (include "esc-injector.healthPort" .) -}}
{{- fail "webhook.port and webhook.healthPort are the same" -}}
{{- end -}}
{{- $class := .Values.priorityClass -}}
{{- if and $class.create (hasPrefix "system-" $class.name) -}}
{{- fail (printf "priorityClass.name %s is one of Kubernetes' own: set priorityClass.create: false to use it" $class.name) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]" (include "esc-injector.fullname" .)) -}}
{{- fail "a Service's name begins with a letter, and the release's does not: set fullnameOverride" -}}
{{- end -}}
{{- $others := dict "podLabels" .Values.podLabels "metrics.serviceMonitor.labels" .Values.metrics.serviceMonitor.labels "metrics.podMonitor.labels" .Values.metrics.podMonitor.labels -}}
{{- range $where, $labels := $others -}}
{{- range $key, $_ := $labels -}}
{{- if hasKey $.Values.labels $key -}}
{{- fail (printf "labels and %s both have %s: keep it in one" $where $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor would scrape everything twice: enable one" -}}
{{- end -}}
{{- end -}}
