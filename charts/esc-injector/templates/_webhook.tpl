{{/* The webhook's process: images, ports, flags. */}}

{{/* A reference from a dict of repository, tag and digest. */}}
{{- define "esc-injector.reference" -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository .tag -}}
{{- end -}}
{{- end -}}

{{- define "esc-injector.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- include "esc-injector.reference" (dict "repository" .Values.image.repository "tag" $tag "digest" .Values.image.digest) -}}
{{- end -}}

{{- define "esc-injector.agentImage" -}}
{{- $agent := .Values.agent.image -}}
{{- if or $agent.repository $agent.tag $agent.digest -}}
{{- $repository := $agent.repository | default .Values.image.repository -}}
{{- $tag := $agent.tag | default .Values.image.tag | default .Chart.AppVersion -}}
{{- include "esc-injector.reference" (dict "repository" $repository "tag" $tag "digest" $agent.digest) -}}
{{- else -}}
{{- include "esc-injector.image" . -}}
{{- end -}}
{{- end -}}

{{- define "esc-injector.port" -}}
{{- .Values.webhook.port | default (ternary 10260 10250 .Values.webhook.hostNetwork) | int -}}
{{- end -}}

{{- define "esc-injector.healthPort" -}}
{{- .Values.webhook.healthPort | default (ternary 10261 8080 .Values.webhook.hostNetwork) | int -}}
{{- end -}}

{{/* Whether there is ever more than one replica. */}}
{{- define "esc-injector.severalReplicas" -}}
{{- $least := ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled -}}
{{- if gt (int $least) 1 }}true{{ end -}}
{{- end -}}

{{/* One argument, of (list flag value). Kubelet expands $(NAME) in arguments; a doubled dollar sign comes out as one. */}}
{{- define "esc-injector.argument" -}}
{{ printf "--%s=%s" (index . 0) (index . 1) | replace "$" "$$" | toJson }}
{{- end -}}

{{/* The flags of `esc-injector webhook`. What is empty is left to the program's own default. [::] is IPv4 too, and all that
     pods of a cluster with IPv6 alone can be reached by. */}}
{{- define "esc-injector.arguments" -}}
{{- $v := .Values -}}
{{- $fullname := include "esc-injector.fullname" . -}}
{{- $flags := list
  (list "listen" (printf "[::]:%s" (include "esc-injector.port" .)))
  (list "health-listen" (printf "[::]:%s" (include "esc-injector.healthPort" .)))
  (list "kubernetes" "auto")
  (list "own-namespace" .Release.Namespace)
-}}
{{- if eq $v.certificates.mode "self" -}}
  {{- $flags = concat $flags (list
    (list "service-name" $fullname)
    (list "ca-secret" (printf "%s-ca" $fullname))
    (list "webhook-configuration" $fullname))
  -}}
{{- else -}}
  {{- $flags = concat $flags (list
    (list "tls-cert" "/etc/esc-injector/tls/tls.crt")
    (list "tls-key" "/etc/esc-injector/tls/tls.key"))
  -}}
{{- end -}}
{{- $flags = concat $flags (list
  (list "workload-checks" (include "esc-injector.choice" $v.workloadChecks))
  (list "agent-image" (include "esc-injector.agentImage" .))
  (list "agent-user" (ternary "" (int $v.agent.user | toString) $v.openshift.enabled))
  (list "api-url" $v.api.url)
  (list "auth" $v.auth.mode)
  (list "token-type" $v.auth.tokenType)
  (list "min-refresh" $v.minRefresh))
-}}
{{- if $v.api.caBundle -}}
  {{- $flags = append $flags (list "ca-file" "/etc/esc-injector/ca/ca.crt") -}}
{{- end -}}
{{- range $pair := list
  (list "audience" $v.auth.audience)
  (list "https-proxy" $v.proxy.https)
  (list "no-proxy" $v.proxy.noProxy)
  (list "min-kubelet" $v.minKubelet)
-}}
  {{- if index $pair 1 -}}
    {{- $flags = append $flags $pair -}}
  {{- end -}}
{{- end -}}
{{- range $pair := list
  (list "allow-api-url" $v.api.allowedUrls)
  (list "allow-audience" $v.auth.allowedAudiences)
  (list "exclude-container" $v.excludedContainers)
  (list "start-after" $v.startAfter)
  (list "allow-on-change-url" $v.allowedOnChangeUrls)
-}}
  {{- range index $pair 1 -}}
    {{- $flags = append $flags (list (index $pair 0) .) -}}
  {{- end -}}
{{- end -}}
{{- range $key, $value := $v.defaults -}}
  {{- $flags = append $flags (list "default" (printf "%s=%s" $key (kindIs "string" $value | ternary $value (toJson $value)))) -}}
{{- end -}}
{{- with $v.auth.accessTokenSecret -}}
  {{- $flags = append $flags (list "default" (printf "access-token-secret=%s" .)) -}}
{{- end -}}
{{- $flags = concat $flags (list (list "log-level" $v.log.level) (list "log-format" $v.log.format)) -}}
- webhook
{{- range $flags }}
- {{ include "esc-injector.argument" . }}
{{- end -}}
{{- end -}}

{{/* The security context of every pod of ours; OpenShift chooses uids itself. */}}
{{- define "esc-injector.podSecurityContext" -}}
runAsNonRoot: true
{{- if not .Values.openshift.enabled }}
runAsUser: 65532
runAsGroup: 65532
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "esc-injector.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
