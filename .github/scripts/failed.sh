#!/usr/bin/env bash
# Says whether the stack's last update failed, as the step's output. Needs STACK and AWS credentials.
set -euo pipefail

history=$(pulumi stack history --stack "$STACK" --output json --page-size 1)
failed=$(jq 'any(.[]; .result != "succeeded")' <<<"$history")
echo "failed=$failed" >>"$GITHUB_OUTPUT"
