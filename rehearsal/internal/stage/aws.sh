#!/bin/sh
# Stands in for the aws CLI while a rehearsal runs: the eks component asks for its version, and a kubeconfig for a token.
# It has one token for every --profile and --role: a rehearsal has neither, and no account to reach with them.
case "$*" in
--version)
    echo "aws-cli/2.31.0 rehearsal"
    ;;
"eks get-token "* | *" eks get-token "*)
    cat "$(dirname "$0")/token.json"
    ;;
*)
    echo "the rehearsal's aws CLI knows 'aws --version' and 'aws eks get-token', found: aws $*" >&2
    exit 252
    ;;
esac
