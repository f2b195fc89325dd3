#!/bin/sh
# Asks URL again and again, each time with a new connection, and prints how many requests there were and how many failed. It counts when
# all went well for WARM_SECONDS: before, a node's network policies may not know this pod yet
# (https://github.com/aws/aws-network-policy-agent/issues/487).
set -eu
# An image without it shows nothing.
command -v curl >/dev/null || exit
: "${URL:?}"
status() { curl -s -o /dev/null --max-time 5 -w '%{http_code}' "$URL"; }
warm=$(($(date +%s) + ${WARM_SECONDS:-30}))
while [ "$(date +%s)" -lt "$warm" ]; do
    if [ "$(status)" != 200 ]; then warm=$(($(date +%s) + ${WARM_SECONDS:-30})); fi
    sleep 0.2
done
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
