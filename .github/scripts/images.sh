#!/usr/bin/env bash
# Sees to the images of the apps that have none in their stack's file: `try` builds and tries them, `push` pushes these, `take`
# takes what is pushed, and `tool` makes only the tool for it, which `try` does too. The file has the images for this run. Without
# STACK it is for each stack; push and take need AWS credentials, and the tool from before there were any.
set -euo pipefail

# What Dockerfiles and applications print is no command to the runner, see why.sh.
mark=$(cat /proc/sys/kernel/random/uuid)
echo "::stop-commands::$mark"
trap 'echo "::$mark::"' EXIT

again=
for file in Pulumi.${STACK:-*}.yaml; do
    grep -Eq '\bbuild"?:' "$file" || continue
    case $1 in
    tool | try) make .tools/bin/stack ;;
    esac
    [ "$1" != tool ] || continue
    stack=${file#Pulumi.} code=0
    PATH=$PATH:.tools/bin stack image -all -mode "$1" -stack "${stack%.yaml}" | tee -a "$GITHUB_STEP_SUMMARY" || code=$?
    case $code in
    0) ;;
    3) again=true ;; # A repository is made by the first update that knows of its app.
    *) exit "$code" ;;
    esac
done
if [ "$1" = push ]; then
    echo "again=$again" >>"$GITHUB_OUTPUT"
fi
