{{/* Parts of the operator's pod: its environment and its place. */}}

{{/* Each name is a field of OperatorSettings behind SLICEWISE_; a test compares the two. */}}
{{- define "slicewise.env" -}}
{{- $election := .Values.leaderElection -}}
{{- $secrets := list -}}
{{- range .Values.imagePullSecrets -}}{{- $secrets = append $secrets .name -}}{{- end -}}
- name: SLICEWISE_NAMESPACE
  valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}
- name: SLICEWISE_POD_NAME
  valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}
- name: SLICEWISE_WATCH_NAMESPACES
  value: {{ .Values.watchNamespaces | default list | toJson | quote }}
- name: SLICEWISE_WORKER_IMAGE
  value: {{ include "slicewise.image" (dict "image" .Values.worker.image "root" $) | quote }}
- name: SLICEWISE_WORKER_DEFAULTS
  value: {{ include "slicewise.shape" (list (omit .Values.worker "image" "fetchResources" "allowPrivateSources" "allowCPU" "requestLog" "proxy")) | quote }}
- name: SLICEWISE_FETCH_RESOURCES
  value: {{ .Values.worker.fetchResources | default dict | toJson | quote }}
- name: SLICEWISE_POD_SECURITY_CONTEXT
  value: {{ .Values.podSecurityContext | default dict | toJson | quote }}
- name: SLICEWISE_JOBS_IMAGE
  value: {{ include "slicewise.image" (dict "image" .Values.jobs.image "root" $) | quote }}
- name: SLICEWISE_JOBS_DEFAULTS
  value: {{ include "slicewise.shape" (list (pick .Values.jobs "resources" "labels" "annotations") .Values.jobs.placement) | quote }}
- name: SLICEWISE_GATEWAY_IMAGE
  value: {{ include "slicewise.image" (dict "image" .Values.gateway.image "root" $) | quote }}
- name: SLICEWISE_GATEWAY_ENVOY_IMAGE
  value: {{ .Values.gateway.envoyImage | quote }}
- name: SLICEWISE_GATEWAY_DEFAULTS
  value: {{ include "slicewise.shape" (list (pick .Values.gateway "resources" "labels" "annotations") .Values.gateway.placement) | quote }}
- name: SLICEWISE_GATEWAY_AGENT_RESOURCES
  value: {{ .Values.gateway.agentResources | default dict | toJson | quote }}
- name: SLICEWISE_GATEWAY_EDGE_RESOURCES
  value: {{ .Values.gateway.edgeResources | default dict | toJson | quote }}
- name: SLICEWISE_GATEWAY_ROLE
  value: {{ include "slicewise.gatewayRole" . | quote }}
- name: SLICEWISE_GATEWAY_OTLP
  value: {{ .Values.gateway.otlp | quote }}
- name: SLICEWISE_METRICS_FROM
  value: {{ .Values.networkPolicy.metricsFrom | default list | toJson | quote }}
- name: SLICEWISE_API_SERVER_CIDRS
  value: {{ .Values.networkPolicy.apiServer.cidrs | default list | toJson | quote }}
- name: SLICEWISE_API_SERVER_PORTS
  value: {{ .Values.networkPolicy.apiServer.ports | default list | toJson | quote }}
- name: SLICEWISE_IMAGE_PULL_SECRETS
  value: {{ $secrets | toJson | quote }}
- name: SLICEWISE_ALLOW_PRIVATE_SOURCES
  value: {{ .Values.worker.allowPrivateSources | quote }}
- name: SLICEWISE_ALLOW_CPU
  value: {{ .Values.worker.allowCPU | quote }}
- name: SLICEWISE_REQUEST_LOG
  value: {{ .Values.worker.requestLog | quote }}
- name: SLICEWISE_WORKER_PROXY
  value: {{ dict "https" .Values.worker.proxy.https "http" .Values.worker.proxy.http "noProxy" .Values.worker.proxy.noProxy | toJson | quote }}
- name: SLICEWISE_PRICES_FILE
  value: {{ ternary "/etc/slicewise/prices/prices.json" "" (ne .Values.cost.currency "") | quote }}
- name: SLICEWISE_LEASE_NAME
  value: {{ include "slicewise.operator" . | quote }}
- name: SLICEWISE_LEASE_DURATION_SECONDS
  value: {{ $election.leaseDurationSeconds | quote }}
{{- with $election.renewSeconds }}
{{- if gt (mulf 2 .) (float64 $election.leaseDurationSeconds) }}
{{- fail (printf "leaderElection.renewSeconds: %v leaves no second attempt within leaseDurationSeconds: %v; write at most half of it" . $election.leaseDurationSeconds) }}
{{- end }}
- name: SLICEWISE_LEASE_RENEW_SECONDS
  value: {{ . | quote }}
{{- end }}
- name: SLICEWISE_LEASE_RETRY_SECONDS
  value: {{ $election.retrySeconds | quote }}
- name: SLICEWISE_PORT
  value: "8080"
- name: SLICEWISE_MAX_CONCURRENT_PASSES
  value: {{ .Values.maxConcurrentPasses | quote }}
- name: SLICEWISE_RESYNC_SECONDS
  value: {{ .Values.resyncSeconds | quote }}
- name: SLICEWISE_LOG_LEVEL
  value: {{ .Values.logLevel | quote }}
- name: SLICEWISE_LOG_FORMAT
  value: {{ .Values.logFormat | quote }}
{{- end -}}

{{/* How pods look, as JSON: the maps of a list together, without what is empty. The operator reads it by the rules of spec.worker. */}}
{{- define "slicewise.shape" -}}
{{- $shape := dict -}}
{{- range . -}}
{{- range $name, $value := . -}}{{- if $value -}}{{- $_ := set $shape $name $value -}}{{- end -}}{{- end -}}
{{- end -}}
{{- toJson $shape -}}
{{- end -}}

{{/* Node selector, tolerations, and the preference for another node and zone per replica (never a demand: a cluster of
one node runs both). */}}
{{- define "slicewise.placement" -}}
{{- with .Values.nodeSelector -}}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with .Values.tolerations -}}
tolerations:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- if .Values.affinity -}}
affinity:
  {{- toYaml .Values.affinity | nindent 2 }}
{{ else if .Values.spreadReplicas -}}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "slicewise.selectorLabels" . | nindent 14 }}
{{ end -}}
{{- if .Values.topologySpreadConstraints -}}
topologySpreadConstraints:
  {{- toYaml .Values.topologySpreadConstraints | nindent 2 }}
{{- else if .Values.spreadReplicas -}}
topologySpreadConstraints:
  - topologyKey: topology.kubernetes.io/zone
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "slicewise.selectorLabels" . | nindent 8 }}
{{- end -}}
{{- end -}}
