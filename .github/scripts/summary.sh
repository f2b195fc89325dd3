#!/usr/bin/env bash
# Runs a command, and puts the end of what it says into the run's summary, as text. Ends as the command does.
set -euo pipefail

# GitHub takes a MiB of a step (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
readonly most=900000

said=$(mktemp)
trap 'rm -f "$said"' EXIT
code=0
"$@" 2>&1 | tee "$said" || code=$?
{
    echo '~~~~'
    tail -c "$most" "$said" | sed 's/^~~~~/ ~~~~/'
    printf '\n~~~~\n'
} >>"$GITHUB_STEP_SUMMARY"
exit "$code"
