#!/bin/sh
# Prints what the volume in DATA_DIR has, and leaves MARK there.
set -eu
: "${DATA_DIR:?}" "${MARK:?}"
found=
if [ -e "$DATA_DIR/mark" ]; then found=$(cat "$DATA_DIR/mark"); fi
printf '%s' "$MARK" >"$DATA_DIR/mark"
sync
printf '{"found":"%s"}\n' "$found"
