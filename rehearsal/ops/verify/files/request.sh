#!/bin/sh
# Asks URL until it answers, and prints the status.
set -eu
# An image without it shows nothing.
command -v curl >/dev/null || exit
: "${URL:?}"
end=$(($(date +%s) + ${PATIENCE_SECONDS:-300}))
while :; do
    status=$(curl -s -o /dev/null --max-time 5 -w '%{http_code}' "$URL") || true
    if [ "$status" != 000 ] || [ "$(date +%s)" -ge "$end" ]; then break; fi
    sleep 1
done
printf '{"status":"%s"}\n' "$status"
