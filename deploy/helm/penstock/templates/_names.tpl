{{- define "penstock.name" -}}
{{- .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* What every resource's name begins with: short enough for a part's name and a number after it. */ -}}
{{- define "penstock.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 30 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "penstock.selector" -}}
app.kubernetes.io/name: {{ include "penstock.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "penstock.labels" -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* Of (list $ component). */ -}}
{{- define "penstock.component.selector" -}}
{{ include "penstock.selector" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "penstock.component.labels" -}}
{{ include "penstock.labels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "penstock.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "penstock.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "penstock.image" -}}
{{- $repository := required "image.repository: where the image is that the Dockerfile builds" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "penstock.catalog.configMap" -}}
{{- .Values.catalog.configMap.name | default (printf "%s-catalog" (include "penstock.fullname" .)) -}}
{{- end -}}

{{- /* The names of the catalogue's files, in the order in which they are read. */ -}}
{{- define "penstock.catalog.names" -}}
{{- $own := .Values.catalog.configMap -}}
{{- $names := list -}}
{{- range $name, $rows := .Values.catalog.files -}}{{- if $rows -}}{{- $names = append $names $name -}}{{- end -}}{{- end -}}
{{- if and $own.name $names -}}{{- fail "catalog: give files or a configMap, not both" -}}{{- end -}}
{{- if $own.name -}}{{- $names = $own.keys -}}{{- end -}}
{{- if not $names -}}
{{- fail "catalog: give files (--set-file 'catalog.files.models\\.yaml=FILE'), or a configMap with its keys" -}}
{{- end -}}
{{- toJson $names -}}
{{- end -}}
