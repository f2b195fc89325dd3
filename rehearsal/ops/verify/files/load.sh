#!/bin/sh
# Puts load on URL with CLIENTS connections at a time until the pod ends. A connection ends after a thousand requests, so that new pods
# get some too.
set -eu
# An image without it shows nothing.
command -v curl >/dev/null || exit
: "${URL:?}" "${CLIENTS:?}"
one() {
    while :; do
        curl -s --max-time 30 "$URL?[1-1000]" >/dev/null || sleep 1
    done
}
started=0
while [ "$started" -lt "$CLIENTS" ]; do
    one &
    started=$((started + 1))
done
printf '{"clients":%d}\n' "$started"
wait
