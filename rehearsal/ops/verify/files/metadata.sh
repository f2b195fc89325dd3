#!/bin/sh
# Asks the instance metadata of ADDRESSES as IMDSv1 and for a token of IMDSv2, and prints what was given. No answer's text is kept.
# CONTROL, HOST:PORT, has to take a connection, or the network of this pod does not work and nothing is told.
set -eu
# An image without it shows nothing.
command -v curl >/dev/null || exit
: "${CONTROL:?}" "${ADDRESSES:?}"
status() { curl -gs -o /dev/null --max-time 3 -w '%{http_code}' "$@" || true; }
connects() {
    # The time until TCP is connected is zero without a connection.
    time=$(curl -s -o /dev/null --connect-timeout 3 --max-time 5 -w '%{time_connect}' "http://$1/") || true
    [ "$time" != 0.000000 ]
}
end=$(($(date +%s) + ${PATIENCE_SECONDS:-300}))
until connects "$CONTROL"; do
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
