#!/bin/sh
# Asks the instance metadata of ADDRESSES as IMDSv1 and for a token of IMDSv2, and prints what was given. No answer's text is kept.
# CONTROL has to answer, or the network of this pod does not work and nothing is told.
set -eu
: "${CONTROL:?}" "${ADDRESSES:?}"
status() { curl -gs -o /dev/null --max-time 3 -w '%{http_code}' "$@" || true; }
end=$(($(date +%s) + ${PATIENCE_SECONDS:-60}))
until [ "$(status "$CONTROL")" = 200 ]; do
    if [ "$(date +%s)" -ge "$end" ]; then
        printf '{"control":false}\n'
        exit
    fi
    sleep 1
done
given=
for at in $ADDRESSES; do
    if [ "$(status "$at/latest/meta-data/")" = 200 ]; then given="$given,\"$at gives metadata without a token\""; fi
    if [ "$(status -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$at/latest/api/token")" = 200 ]; then
        given="$given,\"$at gives a token\""
    fi
done
printf '{"control":true,"given":[%s]}\n' "${given#,}"
