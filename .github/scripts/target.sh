#!/usr/bin/env bash
# Refuses a role, a region or a backend that is more than that, before anything is done with it: whoever has write access may
# set the repository's variables (https://docs.github.com/en/rest/actions/variables). A backend's address may have parameters,
# and `endpoint` has Pulumi read another server's state (https://github.com/google/go-cloud/blob/v0.46.0/aws/aws.go).
# Needs ROLE, REGION and BACKEND.
set -euo pipefail

code=0
check() { # NAME VALUE PATTERN EXAMPLE
    [[ $2 =~ ^$3$ ]] && return
    # A line of its own would be a command to the runner.
    printf '::error::%s is %q, expected it as in %s. Set it as docs/ci.md says, for a deployment in the environment.\n' "$1" "$2" "$4"
    code=1
}
check 'The role' "$ROLE" 'arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+' arn:aws:iam::111122223333:role/NAME
check AWS_REGION "$REGION" '[a-z]{2}(-[a-z]+)+-[0-9]' us-east-1
check PULUMI_BACKEND_URL "$BACKEND" 's3://[a-z0-9][a-z0-9.-]*' s3://BUCKET
exit "$code"
