{{- /* The same as the parts are told, in KEDA's words. */ -}}
{{- define "penstock.keda.security" -}}
{{- $kafka := .Values.kafka -}}
tls: {{ has $kafka.security (list "ssl" "sasl_ssl") | ternary "enable" "disable" }}
{{- if hasPrefix "sasl_" $kafka.security }}
sasl: {{ index (dict "PLAIN" "plaintext" "SCRAM-SHA-256" "scram_sha256" "SCRAM-SHA-512" "scram_sha512") $kafka.saslMechanism }}
{{- end }}
{{- end -}}

{{- define "penstock.keda.secrets" -}}
{{- $kafka := .Values.kafka -}}
{{- if hasPrefix "sasl_" $kafka.security }}
- {parameter: username, name: {{ $kafka.credentials.secret | quote }}, key: {{ $kafka.credentials.usernameKey | quote }}}
- {parameter: password, name: {{ $kafka.credentials.secret | quote }}, key: {{ $kafka.credentials.passwordKey | quote }}}
{{- end }}
{{- with $kafka.ca.secret }}
- {parameter: ca, name: {{ . | quote }}, key: {{ $kafka.ca.key | quote }}}
{{- end }}
{{- with $kafka.clientCertificate.secret }}
- {parameter: cert, name: {{ . | quote }}, key: {{ $kafka.clientCertificate.certKey | quote }}}
- {parameter: key, name: {{ . | quote }}, key: {{ $kafka.clientCertificate.keyKey | quote }}}
{{- end }}
{{- end -}}
