#!/bin/sh
# Runs a command and copies what it writes to its output and to its standard error, line by line and in the order of
# writing, to this script's output (for `kubectl logs`) and to $LOG_DIR/output.log (for fluentd). The file is bounded: one
# that would pass LOG_MAX_BYTES is renamed first, and LOG_GENERATIONS renamed ones are kept.
#
#   capture-output.sh COMMAND [ARGUMENT...]
#
# It ends when the command does, with the command's status, after the last line has been copied. TERM, INT, QUIT and HUP
# are passed on; a shell starts commands in the background with INT and QUIT ignored, so those two reach only a command
# that asks for them (https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html, 2.12). A command that
# writes faster than the lines are copied waits. Bytes are copied as they are, but for NUL, which a shell cannot hold; a
# last line without an end gets one. The command's input is empty.
set -u
: "${LOG_DIR:?}" "${LOG_MAX_BYTES:?}" "${LOG_GENERATIONS:?}"
log=$LOG_DIR/output.log
random=$(cat /proc/sys/kernel/random/uuid) || exit
# Another name at every start: whatever the command made on the volume, which outlives it, is not in the way.
pipe=$LOG_DIR/.$random
# Tells the copy that the command has ended. The end of the pipe would not: a process that the command left behind may
# hold it open. No line that somebody wrote or sent can hold it.
end=$(printf '\036%s\036' "$random")

# Removes what is there and no file: a link would have the lines written elsewhere, a FIFO would wait for a reader, and into a
# folder a file would be renamed.
only_a_file() {
    if [ -L "$1" ] || { [ -e "$1" ] && [ ! -f "$1" ]; }; then
        rm -rf "$1"
    fi
}

rotate() {
    n=$LOG_GENERATIONS
    only_a_file "$log.$n"
    while [ "$n" -gt 1 ]; do
        older=$n
        n=$((n - 1))
        only_a_file "$log.$n"
        if [ -e "$log.$n" ]; then
            mv -f "$log.$n" "$log.$older"
        fi
    done
    mv -f "$log" "$log.1"
}

open() {
    only_a_file "$log"
    # A failed exec would end the copy, and with it the command.
    if (: >>"$log"); then
        exec 4>>"$log"
        size=$(($(wc -c <"$log")))
    else
        exec 4>/dev/null
        size=0
    fi
}

copy() {
    # Lengths are bytes.
    LC_ALL=C
    open
    last=
    while [ -z "$last" ] && IFS= read -r line; do
        case $line in
        *"$end")
            line=${line%"$end"}
            last=yes
            # Not an empty line, but no line.
            [ -n "$line" ] || break
            ;;
        esac
        length=$((${#line} + 1))
        # shellcheck disable=SC3013 # -ef is in POSIX since 2024, and was in every shell before
        if [ -L "$log" ] || ! [ "$log" -ef /dev/fd/4 ]; then
            # Removed, or something else is in its place.
            open
        fi
        if [ "$size" -gt 0 ] && [ $((size + length)) -gt "$LOG_MAX_BYTES" ]; then
            rotate
            open
        fi
        printf '%s\n' "$line"
        printf '%s\n' "$line" >&4
        size=$((size + length))
    done
}

command=
signal=
forward() {
    signal=$1
    if [ -n "$command" ]; then
        kill -s "$signal" "$command" 2>/dev/null
    fi
}
for name in TERM INT QUIT HUP; do
    # shellcheck disable=SC2064
    trap "forward $name" "$name"
done

mkfifo "$pipe" || exit
copy <"$pipe" &
copier=$!
exec 3>"$pipe"
# Both ends are open, so nobody needs its name any more.
rm -f "$pipe"

"$@" >&3 2>&1 3>&- &
command=$!
if [ -n "$signal" ]; then
    forward "$signal"
fi

# A signal interrupts wait, whose status then is not the command's; and a command that was waited for already is
# unknown, which is 127.
status=127
while :; do
    signal=
    wait "$command"
    code=$?
    if [ "$code" -ne 127 ]; then
        status=$code
    fi
    if [ -z "$signal" ]; then
        break
    fi
done
trap '' TERM INT QUIT HUP
printf '%s\n' "$end" >&3
wait "$copier"
exit "$status"
