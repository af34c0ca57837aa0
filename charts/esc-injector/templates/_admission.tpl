{{/* What the API server sends us, and what its policies hold against. */}}

{{/* Namespaces that are never injected, as a JSON list. */}}
{{- define "esc-injector.excludedNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.excludedNamespaces | uniq | toJson -}}
{{- end -}}

{{/* A namespace selector: of (list context values-of-the-label). */}}
{{- define "esc-injector.namespaceSelector" -}}
{{- $context := index . 0 -}}
{{- $more := $context.Values.webhook.namespaceSelector -}}
namespaceSelector:
  {{- with $more.matchLabels }}
  matchLabels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  matchExpressions:
    - key: esc.pulumi.com/injection
      operator: In
      values: {{ index . 1 | toJson }}
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values: {{ include "esc-injector.excludedNamespaces" $context }}
    {{- with $more.matchExpressions }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* How the API server reaches us: of (list context path). */}}
{{- define "esc-injector.clientConfig" -}}
{{- $context := index . 0 -}}
clientConfig:
  {{- if eq $context.Values.certificates.mode "secret" }}
  caBundle: {{ $context.Values.certificates.caBundle | b64enc }}
  {{- end }}
  service:
    name: {{ include "esc-injector.fullname" $context }}
    namespace: {{ $context.Release.Namespace | quote }}
    port: 443
    path: {{ index . 1 }}
{{- end -}}

{{/* CEL: whether an object's annotations hold a key of ours that asks. The webhook's own mark alone does not. */}}
{{- define "esc-injector.asks" -}}
{{ . }}.exists(key, key.startsWith('esc.pulumi.com/') && key != 'esc.pulumi.com/status')
{{- end -}}

{{/* CEL: the annotations of a pod, or of a workload's pod template. A CronJob's lies deeper. */}}
{{- define "esc-injector.podAnnotations" -}}
(has(object.spec.jobTemplate) ? object.spec.jobTemplate.spec.template : has(object.spec.template) ? object.spec.template : object).?metadata.?annotations.orValue({})
{{- end -}}

{{/* Conditions that hold for pods and for pods only: what asks for nothing must not depend on us. */}}
{{- define "esc-injector.podConditions" -}}
# A way out while the webhook is down.
- name: not-opted-out
  expression: >-
    object.metadata.?annotations[?'esc.pulumi.com/inject'].orValue('') != 'false'
# Kubelet's own picture of a static pod, which nobody may change.
- name: not-a-mirror
  expression: >-
    !object.metadata.?annotations[?'kubernetes.io/config.mirror'].hasValue()
{{- end -}}

{{/* CEL: whether the pod template is new. Else nobody asked for anything: a scale, a label, a finalizer. */}}
{{- define "esc-injector.templateChanged" -}}
oldObject == null || object.spec.?template != oldObject.spec.?template || object.spec.?jobTemplate != oldObject.spec.?jobTemplate
{{- end -}}

{{/* Annotations of the two webhook configurations. */}}
{{- define "esc-injector.configurationAnnotations" -}}
{{- if eq .Values.certificates.mode "certManager" -}}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "esc-injector.fullname" . }}
{{- end -}}
{{- end -}}

{{/* CEL: not a ReplicaSet of a Deployment or a Job of a CronJob. */}}
{{- define "esc-injector.notMadeByAController" -}}
!(request.resource.resource in ['replicasets', 'jobs']) || !object.metadata.?ownerReferences.orValue([]).exists(owner, owner.?controller.orValue(false))
{{- end -}}

{{/* Actions of a policy's binding, from the value deny or warn. */}}
{{- define "esc-injector.validationActions" -}}
validationActions: [{{ ternary "Deny" "Warn" (eq . "deny") }}]
{{- end -}}
