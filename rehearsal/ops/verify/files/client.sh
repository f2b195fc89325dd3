#!/bin/sh
# Asks URL again and again, each time with a new connection, and prints how many requests there were and how many failed. It counts from
# the first answer on: before, the network policies may not know this pod yet.
set -eu
: "${URL:?}"
status() { curl -s -o /dev/null --max-time 5 -w '%{http_code}' "$URL"; }
until [ "$(status)" = 200 ]; do sleep 1; done
requests=0
failed=0
first=
while :; do
    requests=$((requests + 1))
    code=0
    said=$(status) || code=$?
    if [ "$said" != 200 ]; then
        failed=$((failed + 1))
        first=${first:-"status $said, curl $code, at $(date -u +%T)"}
    fi
    printf '{"requests":%d,"failed":%d,"first":"%s"}\n' "$requests" "$failed" "$first"
    sleep 0.2
done
