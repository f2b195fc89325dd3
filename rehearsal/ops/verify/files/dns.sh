#!/bin/sh
# Looks the names of NAMES up, again until the time is over, and prints those without an address. curl's time of the look-up is zero
# without one (https://curl.se/docs/manpage.html, time_namelookup); the connection that it then tries does not matter.
set -eu
# An image without it shows nothing.
command -v curl >/dev/null || exit
: "${NAMES:?}"
resolves() {
    time=$(curl -s -o /dev/null --connect-timeout 3 --max-time 5 -w '%{time_namelookup}' "http://$1:9/") || true
    [ "$time" != 0.000000 ]
}
end=$(($(date +%s) + ${PATIENCE_SECONDS:-300}))
while :; do
    missing=
    for name in $NAMES; do
        resolves "$name" || missing="$missing,\"$name\""
    done
    if [ -z "$missing" ] || [ "$(date +%s)" -ge "$end" ]; then break; fi
    sleep 1
done
printf '{"missing":[%s]}\n' "${missing#,}"
