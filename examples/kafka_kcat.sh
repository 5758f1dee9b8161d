#!/bin/sh
# Submit a chat through Kafka with nothing but kcat, and print its result: sh examples/kafka_kcat.sh [QUESTION].
#
# PENSTOCK_KAFKA is Kafka's address, which `penstock status` shows, PENSTOCK_KEY an access key, and PENSTOCK_MODEL the
# model to ask. A question with quotes or backslashes in it has to be escaped as JSON has it.
set -eu

id="kcat-$$-$(date +%s)"
model="${PENSTOCK_MODEL:-smollm2-135m-instruct}"
question="${1:-What turns a water wheel?}"
body="{\"model\":\"$model\",\"messages\":[{\"role\":\"user\",\"content\":\"$question\"}],\"max_tokens\":60}"

printf '%s' "{\"operation\":\"/v1/chat/completions\",\"body\":$body,\"correlation_id\":\"$id\"}" |
    kcat -P -b "$PENSTOCK_KAFKA" -t penstock.submissions -X acks=all -H "authorization=Bearer $PENSTOCK_KEY"

# Results are read from their topic's beginning to its end, again until this one is among them.
until kcat -C -e -q -b "$PENSTOCK_KAFKA" -t penstock.results -o beginning | grep -m 1 -F "\"correlation_id\":\"$id\""; do
    sleep 1
done
