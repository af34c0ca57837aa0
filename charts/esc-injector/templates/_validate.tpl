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
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor would scrape everything twice: enable one" -}}
{{- end -}}
{{- end -}}
