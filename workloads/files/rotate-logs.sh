#!/bin/sh
# Runs nginx and keeps its log files bounded: a file over LOG_MAX_BYTES is renamed, LOG_GENERATIONS renamed ones are kept,
# and nginx is told to open new files. Renaming loses no line, as nginx goes on writing to the renamed file until it has
# heard.
#
#   rotate-logs.sh NGINX [ARGUMENT...]
#
# nginx takes the place of this shell, so it gets the container's signals; the loop stays beside it and ends with the
# container.
set -eu
: "${LOG_DIR:?}" "${LOG_MAX_BYTES:?}" "${LOG_GENERATIONS:?}" "${1:?is the command to run}"
pid_file=${NGINX_PID_FILE:-/tmp/nginx.pid}

rotate() {
    n=$LOG_GENERATIONS
    while [ "$n" -gt 1 ]; do
        older=$n
        n=$((n - 1))
        if [ -e "$1.$n" ]; then
            mv -f "$1.$n" "$1.$older"
        fi
    done
    mv -f "$1" "$1.1"
}

watch() {
    while sleep "${LOG_CHECK_SECONDS:-5}"; do
        rotated=
        for log in "$LOG_DIR"/*.log; do
            if [ -f "$log" ] && [ "$(wc -c <"$log")" -gt "$LOG_MAX_BYTES" ]; then
                rotate "$log"
                rotated=yes
            fi
        done
        if [ -n "$rotated" ] && [ -s "$pid_file" ]; then
            # nginx may be about to stop: then nobody needs new files.
            kill -USR1 "$(cat "$pid_file")" || true
        fi
    done
}

watch &
exec "$@"
