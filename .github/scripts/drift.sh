#!/usr/bin/env bash
# Compares the account with the program, and keeps one issue for the stack while they differ: opened, written anew, closed.
# Whatever else goes wrong fails the run and leaves the issue alone. Needs STACK, GH_TOKEN, REPOSITORY and RUN_URL.
set -euo pipefail

# The code of `pulumi preview --expect-no-changes` that has found some
# (https://github.com/pulumi/pulumi/blob/v3.259.0/pkg/cmd/pulumi/cmd/exit_codes.go).
readonly changes=7
readonly label=drift title="Drift in $STACK"
readonly most=60000

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
code=0
pulumi preview --stack "$STACK" --refresh --expect-no-changes --diff --non-interactive --suppress-progress --color never \
    >"$folder/preview" 2>&1 || code=$?
cat "$folder/preview"

issue=$(gh issue list --repo "$REPOSITORY" --label "$label" --state open --limit 100 --json number,title |
    jq --arg title "$title" 'map(select(.title == $title))[0].number // empty')

case $code in
0)
    echo "$STACK is as the program says." >>"$GITHUB_STEP_SUMMARY"
    if [ -n "$issue" ]; then
        gh issue close "$issue" --repo "$REPOSITORY" --comment "$STACK is as the program says again: $RUN_URL"
    fi
    ;;
"$changes")
    {
        echo "The account differs from what main says of the stack $STACK: somebody changed it by hand, which"
        echo "'pulumi up --refresh' takes back, or a deployment is outstanding or under way. Found by $RUN_URL:"
        printf '\n~~~~\n'
        head -c "$most" "$folder/preview" | sed 's/^~~~~/ ~~~~/'
        printf '\n~~~~\n'
    } >"$folder/body"
    if [ -n "$issue" ]; then
        gh issue edit "$issue" --repo "$REPOSITORY" --body-file "$folder/body"
    else
        gh label create "$label" --repo "$REPOSITORY" --force --description "The account differs from main"
        gh issue create --repo "$REPOSITORY" --label "$label" --title "$title" --body-file "$folder/body"
    fi
    echo "$STACK differs from what the program says." >>"$GITHUB_STEP_SUMMARY"
    ;;
*)
    echo "::error::The preview of $STACK failed with $code, which says nothing about drift."
    exit "$code"
    ;;
esac
