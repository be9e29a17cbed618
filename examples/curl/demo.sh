#!/bin/sh
# A session over REST from its creation to its end. demo.sh [session id]
set -eu

url=${STATE_HUB_URL:-http://127.0.0.1:3000}
session=${1:-example-curl-$(date +%s)}

hub() {
  # The key goes by stdin, where the list of processes does not show it.
  printf 'header = "X-Api-Key: %s"\n' "${STATE_HUB_KEY:-key}" |
    curl --config - --silent --show-error --fail-with-body --header 'Content-Type: application/json' "$@"
  echo
}

echo "is the hub there?"
hub "$url/health"

echo "create $session"
hub -X POST -d "{\"session_id\": \"$session\", \"machine_id\": \"machine-1\", \"status\": \"ACTIVE\"}" "$url/sessions"

echo "ask a person"
hub -X PATCH -d '{"status": "WAITING", "waiting_for": {"kind": "permission", "question": "Deploy?", "options": ["yes", "no"]}}' \
  "$url/sessions/$session"

echo "who waits?"
hub "$url/sessions?status=WAITING&limit=5"

echo "end it"
hub -X PATCH -d '{"status": "COMPLETED", "metadata": {"answer": "yes"}}' "$url/sessions/$session"

echo "what happened?"
hub "$url/sessions/$session/changes"
