{{- /*
The parts, by name. Of each: `at`, where its values stand; `command`, what it runs; `needs`, whom it speaks to, as
networkPolicy names them; `drain`, how many seconds it takes to end, beside what it needs to close; `told`, whether it is
told so; `partitions`, how many of it can have something to do at once, 0 for any number. `scales` holds a worker's topics.
*/ -}}
{{- define "penstock.parts" -}}
{{- $v := .Values -}}
{{- $door := list "kafka" "redis" "database" "objects" "telemetry" -}}
{{- $shared := $v.topics.partitions -}}
{{- $parts := dict
  "ingress" (dict "at" "ingress" "command" (list "ingress") "needs" (append $door "internet") "drain" $v.ingress.drainS "told" true "partitions" 0)
  "streams" (dict "at" "streams" "command" (list "streams") "needs" (list "kafka" "database") "drain" 0 "told" false "partitions" 4)
-}}
{{- if $v.logDoor.enabled -}}
{{- $_ := set $parts "log-door" (dict "at" "logDoor" "command" (list "ingress.log_door") "needs" $door "drain" $v.logDoor.drainS "told" true "partitions" $shared) -}}
{{- end -}}
{{- if $v.batches.enabled -}}
{{- $_ := set $parts "batches" (dict "at" "batches" "command" (list "ingress.batches") "needs" $door "drain" $v.batches.drainS "told" true "partitions" $shared) -}}
{{- end -}}
{{- if $v.dispatcher.lanes -}}
{{- $command := list "workers.dispatch" -}}
{{- range $v.dispatcher.lanes -}}{{- $command = concat $command (list "--lane" .) -}}{{- end -}}
{{- $_ := set $parts "dispatcher" (dict "at" "dispatcher" "command" $command "needs" (list "kafka" "redis" "database" "objects" "internet") "drain" 0 "told" false "partitions" $shared "named" true) -}}
{{- /* Celery ends when its steps have, none of which takes longer than a minute. */ -}}
{{- $_ := set $parts "celery" (dict "at" "celery" "command" (list "workers.jobs_worker") "needs" (list "redis" "objects" "engines" "internet") "drain" 60 "told" false "partitions" 0) -}}
{{- end -}}
{{- $pools := 0 -}}
{{- range $name, $own := $v.workers -}}
{{- if $own -}}
{{- $pools = add1 $pools -}}
{{- if has $name (list "ingress" "streams" "log-door" "batches" "dispatcher" "celery" "migrate" "ray") -}}{{- fail (printf "workers.%s: another part has this name" $name) -}}{{- end -}}
{{- $command := list "workers" -}}
{{- $scales := list -}}
{{- range $own.lanes -}}
{{- $command = concat $command (list "--lane" .) -}}
{{- $scales = append $scales (dict "name" (printf "penstock.%s" .) "batch" false) -}}
{{- if has (splitList "." . | first) (list "text" "embedding" "image") -}}
{{- $scales = append $scales (dict "name" (printf "penstock.%s-batch" .) "batch" true) -}}
{{- end -}}
{{- end -}}
{{- $drain := hasKey $own "drainS" | ternary $own.drainS $v.workerDefaults.drainS -}}
{{- $_ := set $parts $name (dict "at" (printf "workers.%s" $name) "command" $command "needs" (list "kafka" "redis" "objects" "telemetry" "engines" "internet") "drain" $drain "told" true "partitions" $shared "named" true "scales" $scales) -}}
{{- end -}}
{{- end -}}
{{- if not $pools -}}{{- fail "workers: name a pool of workers, as in text-worker: {lanes: [text.default]}" -}}{{- end -}}
{{- toJson $parts -}}
{{- end -}}

{{- /* The values of a part: of (list $ part). */ -}}
{{- define "penstock.part.values" -}}
{{- $v := (index . 0).Values -}}
{{- $at := splitList "." (index . 1).at -}}
{{- if eq (first $at) "workers" -}}
{{- toJson (mustMergeOverwrite (deepCopy $v.workerDefaults) (deepCopy (index $v.workers (last $at)))) -}}
{{- else -}}
{{- toJson (index $v (first $at)) -}}
{{- end -}}
{{- end -}}

{{- /* Seconds that a part may take to close once it has drained: limits settled, offsets committed, clients closed. */ -}}
{{- define "penstock.closing" -}}30{{- end -}}
