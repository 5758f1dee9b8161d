{{- /* Fields of a pod's spec that are alike everywhere: of (list $ service-account). */ -}}
{{- define "penstock.pod" -}}
{{- with index . 0 -}}
serviceAccountName: {{ index $ 1 }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets: {{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.podSecurity.runAsUser | int64 }}
  runAsGroup: {{ .Values.podSecurity.runAsGroup | int64 }}
  fsGroup: {{ .Values.podSecurity.runAsGroup | int64 }}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}
{{- end -}}

{{- define "penstock.container" -}}
image: {{ include "penstock.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: catalog, mountPath: /etc/penstock/catalog, readOnly: true}
{{- if or .Values.kafka.ca.secret .Values.kafka.clientCertificate.secret }}
  - {name: kafka, mountPath: /etc/penstock/kafka, readOnly: true}
{{- end }}
{{- end -}}

{{- /* Of (list $ the catalogue's ConfigMap, the size of /tmp). */ -}}
{{- define "penstock.volumes" -}}
{{- $root := index . 0 -}}{{- $kafka := $root.Values.kafka -}}
- {name: tmp, emptyDir: {sizeLimit: {{ index . 2 }}}}
- {name: catalog, configMap: {name: {{ index . 1 }}}}
{{- if or $kafka.ca.secret $kafka.clientCertificate.secret }}
- name: kafka
  projected:
    sources:
    {{- with $kafka.ca.secret }}
      - secret: {name: {{ . | quote }}, items: [{key: {{ $kafka.ca.key | quote }}, path: ca.crt}]}
    {{- end }}
    {{- with $kafka.clientCertificate.secret }}
      - secret:
          name: {{ . | quote }}
          items:
            - {key: {{ $kafka.clientCertificate.certKey | quote }}, path: tls.crt}
            - {key: {{ $kafka.clientCertificate.keyKey | quote }}, path: tls.key}
    {{- end }}
{{- end }}
{{- end -}}

{{- /* In the pods' annotations, so that a changed catalogue starts them anew, a few at a time. */ -}}
{{- define "penstock.catalog.checksum" -}}
{{- toJson .Values.catalog | sha256sum -}}
{{- end -}}
