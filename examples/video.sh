#!/usr/bin/env bash
# Have a video made with nothing but curl: submit, wait without polling, save. PENSTOCK_KEY is an access key.
set -euo pipefail

base="${PENSTOCK_URL:-http://127.0.0.1:8080/v1}"
auth="Authorization: Bearer $PENSTOCK_KEY"
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

video=$(curl -sS --fail-with-body "$base/videos" -H "$auth" -H "Content-Type: application/json" \
  -H "Idempotency-Key: $$-$(date +%s)" \
  -d '{"model": "storyboard-video", "prompt": "A drone shot over a dam", "seconds": "2", "size": "480p"}' | field id)

status=queued
while [[ $status == queued || $status == in_progress ]]; do
  status=$(curl -sS --fail-with-body "$base/videos/$video?wait=30" -H "$auth" | field status)
  echo "$video $status"
done
[[ $status == completed ]]

curl -sS --fail-with-body -o "$video.mp4" "$base/videos/$video/content" -H "$auth"
ls -l "$video.mp4"
