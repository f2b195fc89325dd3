#!/bin/sh
# Tries the HOST:PORT of OPEN and CLOSED from this pod until each is as it should be, or the time is over, and prints what is wrong.
# The network policies of a new pod need seconds to apply (https://github.com/aws/aws-network-policy-agent/issues/345), and those of
# others need some to admit it (https://github.com/aws/aws-network-policy-agent/issues/487).
set -eu
# An image without it shows nothing.
command -v curl >/dev/null || exit
connects() {
    # The time until TCP is connected is zero without a connection. What the server says does not matter, nor that it may want TLS.
    time=$(curl -s -o /dev/null --connect-timeout 3 --max-time 5 -w '%{time_connect}' "http://$1/") || true
    [ "$time" != 0.000000 ]
}
sleep "${SETTLE_SECONDS:-5}"
end=$(($(date +%s) + ${PATIENCE_SECONDS:-300}))
while :; do
    wrong=
    for at in ${OPEN:-}; do
        connects "$at" || wrong="$wrong,\"$at is closed, expected open\""
    done
    for at in ${CLOSED:-}; do
        if connects "$at"; then wrong="$wrong,\"$at is open, expected closed\""; fi
    done
    if [ -z "$wrong" ] || [ "$(date +%s)" -ge "$end" ]; then break; fi
    sleep 1
done
printf '{"wrong":[%s]}\n' "${wrong#,}"
