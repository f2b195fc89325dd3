#!/usr/bin/env bash
# Ends a run that somebody started again after main had moved on: it has the code of then, and whoever has write access may do so for
# 30 days (https://docs.github.com/en/actions/how-tos/manage-workflow-runs/re-run-workflows-and-jobs). Needs GH_TOKEN.
set -euo pipefail

if [ "$GITHUB_RUN_ATTEMPT" = 1 ]; then
    exit 0
fi
newest=$(gh api "repos/$GITHUB_REPOSITORY/git/ref/heads/main" --jq .object.sha)
if [ "$newest" != "$GITHUB_SHA" ]; then
    echo "::error::This run is of $GITHUB_SHA, and main has moved on to $newest: start the workflow anew."
    exit 1
fi
