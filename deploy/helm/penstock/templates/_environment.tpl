{{- /* Plain variables of every part, and of the migration. */ -}}
{{- define "penstock.variables" -}}
{{- $v := .Values -}}
{{- $names := include "penstock.catalog.names" . | fromJsonArray -}}
{{- $files := list -}}
{{- range $names -}}{{- $files = append $files (printf "/etc/penstock/catalog/%s" .) -}}{{- end -}}
{{- $all := dict
  "PENSTOCK_KAFKA" (required "kafka.bootstrapServers: host:port of Kafka" $v.kafka.bootstrapServers)
  "PENSTOCK_KAFKA_SECURITY" $v.kafka.security
  "PENSTOCK_OBJECTS" (required "objects.url: s3://bucket/prefix" $v.objects.url)
  "PENSTOCK_S3_LIFECYCLE" (ternary "1" "0" $v.objects.lifecycle)
  "PENSTOCK_PUBLIC_URL" (required "publicUrl: where clients reach the ingress" $v.publicUrl)
  "PENSTOCK_CATALOG" (join ":" $files)
  "PENSTOCK_LOG_LEVEL" $v.observe.logLevel
-}}
{{- if hasPrefix "sasl_" $v.kafka.security -}}
{{- $_ := set $all "PENSTOCK_KAFKA_SASL_MECHANISM" $v.kafka.saslMechanism -}}
{{- end -}}
{{- if $v.kafka.ca.secret -}}{{- $_ := set $all "PENSTOCK_KAFKA_CA_FILE" "/etc/penstock/kafka/ca.crt" -}}{{- end -}}
{{- if $v.kafka.clientCertificate.secret -}}
{{- $_ := set $all "PENSTOCK_KAFKA_CERT_FILE" "/etc/penstock/kafka/tls.crt" -}}
{{- $_ := set $all "PENSTOCK_KAFKA_KEY_FILE" "/etc/penstock/kafka/tls.key" -}}
{{- end -}}
{{- if $v.redis.url -}}{{- $_ := set $all "PENSTOCK_REDIS" $v.redis.url -}}{{- end -}}
{{- range $name, $value := dict "PENSTOCK_S3_ENDPOINT" $v.objects.endpoint "PENSTOCK_S3_PUBLIC_ENDPOINT" $v.objects.publicEndpoint "PENSTOCK_S3_REGION" $v.objects.region "PENSTOCK_OTLP_ENDPOINT" $v.observe.otlpEndpoint -}}
{{- if $value -}}{{- $_ := set $all $name $value -}}{{- end -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- /* Variables that come out of Secrets, for who needs them: of (list $ needs). */ -}}
{{- define "penstock.secrets" -}}
{{- $v := (index . 0).Values -}}{{- $needs := index . 1 -}}
{{- $all := dict -}}
{{- if and (has "kafka" $needs) (hasPrefix "sasl_" $v.kafka.security) -}}
{{- $secret := required "kafka.credentials.secret: SASL needs a Secret with a name and a password" $v.kafka.credentials.secret -}}
{{- $_ := set $all "PENSTOCK_KAFKA_USERNAME" (dict "name" $secret "key" $v.kafka.credentials.usernameKey) -}}
{{- $_ := set $all "PENSTOCK_KAFKA_PASSWORD" (dict "name" $secret "key" $v.kafka.credentials.passwordKey) -}}
{{- end -}}
{{- if and $v.redis.url $v.redis.urlSecret.name -}}{{- fail "redis: give url or urlSecret, not both" -}}{{- end -}}
{{- if and (has "redis" $needs) (not $v.redis.url) -}}
{{- $secret := required "redis: give url, or urlSecret.name if there is a password" $v.redis.urlSecret.name -}}
{{- $_ := set $all "PENSTOCK_REDIS" (dict "name" $secret "key" $v.redis.urlSecret.key) -}}
{{- end -}}
{{- if has "database" $needs -}}
{{- $secret := required "database.urlSecret.name: a Secret with PostgreSQL's URL" $v.database.urlSecret.name -}}
{{- $_ := set $all "PENSTOCK_DATABASE" (dict "name" $secret "key" $v.database.urlSecret.key) -}}
{{- end -}}
{{- if and (has "objects" $needs) $v.objects.credentials.secret -}}
{{- $_ := set $all "AWS_ACCESS_KEY_ID" (dict "name" $v.objects.credentials.secret "key" $v.objects.credentials.accessKeyIdKey) -}}
{{- $_ := set $all "AWS_SECRET_ACCESS_KEY" (dict "name" $v.objects.credentials.secret "key" $v.objects.credentials.secretAccessKeyKey) -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- /* Variables of one part alone: of (list $ name part values). */ -}}
{{- define "penstock.part.variables" -}}
{{- $root := index . 0 -}}{{- $part := index . 2 -}}{{- $own := index . 3 -}}
{{- $all := dict "PENSTOCK_METRICS_HOST" "0.0.0.0" "PENSTOCK_METRICS_PORT" ($root.Values.observe.metricsPort | int64 | toString) -}}
{{- if $part.told -}}
{{- $_ := set $all "PENSTOCK_DRAIN_S" ($own.drainS | int64 | toString) -}}
{{- $_ := set $all "PENSTOCK_MAX_QUEUE_WAIT_S" ($root.Values.maxQueueWaitS | int64 | toString) -}}
{{- end -}}
{{- if eq (index . 1) "ingress" -}}
{{- $_ := set $all "PENSTOCK_HOST" "0.0.0.0" -}}
{{- $_ := set $all "PENSTOCK_PORT" ($own.port | int64 | toString) -}}
{{- if $own.trustedProxies -}}{{- $_ := set $all "PENSTOCK_TRUSTED_PROXIES" (toJson $own.trustedProxies) -}}{{- end -}}
{{- end -}}
{{- if $part.scales -}}{{- $_ := set $all "PENSTOCK_SLOTS" ($own.slots | int64 | toString) -}}{{- end -}}
{{- if eq (index . 1) "celery" -}}{{- $_ := set $all "PENSTOCK_LONG_STEPS" ($own.steps | int64 | toString) -}}{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{- /* The `env` of a container: of (list $ plain own needs), where `own` is what the values add. */ -}}
{{- define "penstock.env" -}}
{{- $plain := index . 1 -}}{{- $own := index . 2 -}}
{{- $secrets := include "penstock.secrets" (list (index . 0) (index . 3)) | fromJson -}}
{{- range $name, $_ := $own -}}
{{- if or (hasKey $plain $name) (hasKey $secrets $name) -}}{{- fail (printf "env: %s is set by a value of its own" $name) -}}{{- end -}}
{{- end -}}
{{- range $name, $value := merge (dict) $plain $own }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- range $name, $from := $secrets }}
- name: {{ $name }}
  valueFrom: {secretKeyRef: {name: {{ $from.name | quote }}, key: {{ $from.key | quote }}}}
{{- end }}
{{- end -}}
