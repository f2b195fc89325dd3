#!/usr/bin/env bash
# After an update that failed, puts a line for each workload that is not up into the run's log and summary. The tool is from before there
# were credentials; without it, it says how to ask by hand. It never fails: the update has. Needs STACK and AWS credentials.
set -uo pipefail

PATH=$PATH:$(pwd)/.tools/bin
command -v stack >/dev/null || {
    echo "::notice::What did not come up: run 'make why STACK=$STACK' where the cluster can be reached."
    exit 0
}
# An application's last lines may be in it: until the mark no line is a command to the runner
# (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands).
mark=$(cat /proc/sys/kernel/random/uuid)
echo "::stop-commands::$mark"
{
    printf '\n~~~~\n'
    stack why -stack "$STACK" 2>&1 | sed 's/^~~~~/ ~~~~/'
    printf '~~~~\n'
} | tee -a "$GITHUB_STEP_SUMMARY"
echo "::$mark::"
