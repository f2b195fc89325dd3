#!/bin/sh
# Fills an access log by COUNT requests with headers that are nearly as long as nginx takes them: 8k each
# (https://nginx.org/en/docs/http/ngx_http_core_module.html#large_client_header_buffers). Each makes a line of more than 14,000 bytes.
set -eu
# An image without it shows nothing.
command -v curl >/dev/null || exit
: "${URL:?}" "${COUNT:?}"
end=$(($(date +%s) + ${PATIENCE_SECONDS:-300}))
until curl -sf -o /dev/null --max-time 5 "$URL" || [ "$(date +%s)" -ge "$end" ]; do sleep 1; done
if ! curl -sf -o /dev/null --max-time 5 "$URL"; then
    printf '{}\n'
    exit
fi
long=$(head -c 7000 /dev/zero | tr '\0' x)
failed=0
curl -sf --max-time 120 -A "$long" -e "$long" "$URL?[1-$COUNT]" >/dev/null || failed=$?
printf '{"failed":%d}\n' "$failed"
