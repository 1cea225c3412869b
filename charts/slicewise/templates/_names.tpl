{{/* Names, labels and image references. Everything else that templates share is in _rules.tpl. */}}

{{- define "slicewise.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The release's name, with the chart's behind it unless the release is already called like the chart. */}}
{{- define "slicewise.fullname" -}}
{{- $name := include "slicewise.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Name of the operator's objects, and of its Lease. */}}
{{- define "slicewise.operator" -}}
{{- printf "%s-operator" (include "slicewise.fullname" .) -}}
{{- end -}}

{{/* Name of the ClusterRole that the gateways' agents get in their namespaces. */}}
{{- define "slicewise.gatewayRole" -}}
{{- printf "%s-gateway" (include "slicewise.fullname" .) -}}
{{- end -}}

{{- define "slicewise.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "slicewise.operator" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{/* Name of the Redis for trials. */}}
{{- define "slicewise.redis" -}}
{{- printf "%s-redis" (include "slicewise.fullname" .) -}}
{{- end -}}

{{/* Name of the MariaDB for trials. */}}
{{- define "slicewise.mariadb" -}}
{{- printf "%s-mariadb" (include "slicewise.fullname" .) -}}
{{- end -}}

{{/* What selects the operator's pods. Workers carry the same name, so the component tells them apart. */}}
{{- define "slicewise.selectorLabels" -}}
{{ include "slicewise.instanceLabels" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "slicewise.redisSelectorLabels" -}}
{{ include "slicewise.instanceLabels" . }}
app.kubernetes.io/component: redis
{{- end -}}

{{- define "slicewise.mariadbSelectorLabels" -}}
{{ include "slicewise.instanceLabels" . }}
app.kubernetes.io/component: mariadb
{{- end -}}

{{- define "slicewise.instanceLabels" -}}
app.kubernetes.io/name: {{ include "slicewise.name" . }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "slicewise.labels" -}}
{{ include "slicewise.selectorLabels" . }}
{{ include "slicewise.chartLabels" . }}
{{- end -}}

{{- define "slicewise.redisLabels" -}}
{{ include "slicewise.redisSelectorLabels" . }}
{{ include "slicewise.chartLabels" . }}
{{- end -}}

{{- define "slicewise.mariadbLabels" -}}
{{ include "slicewise.mariadbSelectorLabels" . }}
{{ include "slicewise.chartLabels" . }}
{{- end -}}

{{/* What every object of the chart carries besides. */}}
{{- define "slicewise.chartLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: slicewise
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Image reference of (dict "image" <values> "root" $): the digest, else the tag, else the appVersion. */}}
{{- define "slicewise.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
