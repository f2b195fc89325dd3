#!/bin/sh
# Writes the page that the nginx container of the same pod serves from the same volume: who wrote it, when, and how often
# since the volume was made, so that a visitor sees that the claim outlives the pod.
set -eu
: "${PAGE_DIR:?}"
trap 'exit 0' TERM INT

count=0
if [ -s "$PAGE_DIR/count" ]; then
    count=$(cat "$PAGE_DIR/count")
fi
while :; do
    count=$((count + 1))
    echo "$count" >"$PAGE_DIR/count.new"
    mv -f "$PAGE_DIR/count.new" "$PAGE_DIR/count"
    # Renamed into place: nginx never serves half a page.
    printf '<!doctype html>\n<title>multi-container</title>\n<p>Page %s, written by alma in %s at %s.</p>\n' \
        "$count" "$(uname -n)" "$(date -u +%FT%TZ)" >"$PAGE_DIR/index.html.new"
    mv -f "$PAGE_DIR/index.html.new" "$PAGE_DIR/index.html"
    printf '{"level":"info","message":"page written","page":%s}\n' "$count"
    # In the background, so that the trap runs at once when the pod stops.
    sleep "${PAGE_SECONDS:-10}" &
    wait $!
done
