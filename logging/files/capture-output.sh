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
# last line without an end gets one. The command's input is empty. It shares a process group with the copy: a signal that it
# sends to all of it, `kill 0`, ends the copy only if it is one that nobody can ignore.
set -u
: "${LOG_DIR:?}" "${LOG_MAX_BYTES:?}" "${LOG_GENERATIONS:?}"
# The variables have names of the script's own: one that the environment has too would be the command's.
capture_log=$LOG_DIR/output.log
# Another name at every start: whatever the command made on the volume, which outlives it, is not in the way.
capture_pipe=$LOG_DIR/.$(cat /proc/sys/kernel/random/uuid) || exit
# Tells the copy that the command has ended. The end of the pipe would not: a process that the command left behind may
# hold it open. No line that somebody wrote or sent can hold it, and it is not in the pipe's name, which the command can read
# in /proc.
capture_end=$(cat /proc/sys/kernel/random/uuid) || exit
capture_end=$(printf '\036%s\036' "$capture_end")

# Removes what is there and no file: a link would have the lines written elsewhere, a FIFO would wait for a reader, and into a
# folder a file would be renamed.
only_a_file() {
    if [ -L "$1" ] || { [ -e "$1" ] && [ ! -f "$1" ]; }; then
        rm -rf "$1"
    fi
}

rotate() {
    n=$LOG_GENERATIONS
    only_a_file "$capture_log.$n"
    while [ "$n" -gt 1 ]; do
        older=$n
        n=$((n - 1))
        only_a_file "$capture_log.$n"
        if [ -e "$capture_log.$n" ]; then
            mv -f "$capture_log.$n" "$capture_log.$older"
        fi
    done
    mv -f "$capture_log" "$capture_log.1"
}

open() {
    only_a_file "$capture_log"
    # For reading too, as a FIFO that has just been put there would wait for a reader. A plain exec that fails would end the copy,
    # and with it the command.
    if command exec 4<>"$capture_log" && [ -f /dev/fd/4 ] && command exec 4>>/dev/fd/4; then
        size=$(($(wc -c </dev/fd/4)))
    else
        exec 4>/dev/null
        size=0
    fi
}

copy() {
    # All signals of Linux but SIGCHLD, without which a shell does not see its own commands end. Some shells refuse a few.
    signal=0
    while [ "$signal" -lt 64 ]; do
        signal=$((signal + 1))
        [ "$signal" -eq 17 ] || command trap '' "$signal" 2>/dev/null
    done
    # The command starts when this is open.
    exec <"$capture_pipe"
    # Lengths are bytes.
    LC_ALL=C
    open
    last=
    while [ -z "$last" ] && IFS= read -r line; do
        case $line in
        *"$capture_end")
            line=${line%"$capture_end"}
            last=yes
            # Not an empty line, but no line.
            [ -n "$line" ] || break
            ;;
        esac
        length=$((${#line} + 1))
        # shellcheck disable=SC3013 # -ef is in POSIX since 2024, and was in every shell before
        if [ -L "$capture_log" ] || ! [ "$capture_log" -ef /dev/fd/4 ]; then
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

capture_command=
capture_signal=
forward() {
    capture_signal=$1
    if [ -n "$capture_command" ]; then
        kill -s "$capture_signal" "$capture_command" 2>/dev/null
    fi
}
for capture_name in TERM INT QUIT HUP; do
    # shellcheck disable=SC2064
    trap "forward $capture_name" "$capture_name"
done

mkfifo "$capture_pipe" || exit
copy &
capture_copier=$!
# Twice: the command may have its own not wait (O_NONBLOCK, as Node.js does), and a full pipe would then not take the mark.
exec 3>"$capture_pipe" 5>"$capture_pipe"
# Both ends are open, so nobody needs its name any more.
rm -f "$capture_pipe"

"$@" >&5 2>&1 3>&- 5>&- &
capture_command=$!
exec 5>&-
if [ -n "$capture_signal" ]; then
    forward "$capture_signal"
fi

# A signal interrupts wait, whose status then is not the command's, and a command that was waited for already is unknown, which is
# 127. Of one that ends in the moment of a signal bash can lose the end (seen with 5.2.15): it waits for it as long as there is
# another child, so not before the copy has ended, and the status is 255 then.
capture_status=127
waited() {
    capture_code=$?
    if [ "$capture_code" -ne 127 ]; then
        capture_status=$capture_code
    fi
}
while :; do
    capture_signal=
    wait "$capture_command"
    waited
    if [ -z "$capture_signal" ] || ! kill -0 "$capture_command" 2>/dev/null; then
        break
    fi
done
# PIPE as well: the command may have killed the copy.
trap '' TERM INT QUIT HUP PIPE
printf '%s\n' "$capture_end" >&3 2>/dev/null
wait "$capture_copier"
if [ -n "$capture_signal" ]; then
    wait "$capture_command"
    waited
fi
exit "$capture_status"
