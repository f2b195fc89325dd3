#!/usr/bin/env bash
# The steps of the workflow e2e, see docs/ci.md. `address` asks for the runner's address, before there are credentials; `take` makes the
# run's stack, or takes the one that is there; `verify NAME` checks it, and keeps the reports; `record` compares AWS with the model;
# `destroy` destroys it; `clean` removes what that left, and the stack; `sweep` does both to the stacks of runs that died. Needs STACK,
# ADDRESS, which `address` sets, and AWS credentials; the tool is from before there were any. What destroys goes without ADDRESS too.
set -euo pipefail
PATH=$PATH:$(pwd)/.tools/bin

# What a stack's programs and names print is no command to the runner, see why.sh.
quietly() {
    local mark code=0
    mark=$(cat /proc/sys/kernel/random/uuid)
    echo "::stop-commands::$mark"
    "$@" || code=$?
    echo "::$mark::"
    return "$code"
}

said() { quietly .github/scripts/summary.sh "$@"; }

# admit lets this runner reach the cluster of a stack: it was opened to the runner of an earlier job, and there may be none yet.
# `pulumi up` would do it only together with all else.
admit() { # STACK
    local reached update status problem
    problem=$(mktemp)
    if ! reached=$(aws eks describe-cluster --name "$1" --query cluster.resourcesVpcConfig.publicAccessCidrs --output text \
        2>"$problem"); then
        grep -q ResourceNotFoundException "$problem" && return
        cat "$problem"
        return 1
    fi
    [ -n "${ADDRESS:-}" ] || return 1
    [ "$reached" != "$ADDRESS/32" ] || return 0
    update=$(aws eks update-cluster-config --name "$1" --resources-vpc-config "publicAccessCidrs=$ADDRESS/32" \
        --query update.id --output text)
    for _ in {1..60}; do
        status=$(aws eks describe-update --name "$1" --update-id "$update" --query update.status --output text)
        case $status in
        Successful) return ;;
        InProgress) sleep "${PAUSE:-10}" ;;
        *) break ;;
        esac
    done
    echo "The cluster $1 was not opened to $ADDRESS: its update $update is $status."
    return 1
}

# allow takes what was not seen, or differs from the model, for no failure of the stack: it is listed.
allow() { # CODE WHAT
    [ "$1" = 3 ] || return "$1"
    echo "::warning::$2: the summary says which."
}

# take writes the stack's file, and makes the stack if it is not there. Without an address it is for a destruction, which takes none from
# the file: that of RFC 5737 is nobody's.
take() { # STACK
    stack fresh -stack "$1" -from "${ADDRESS:-192.0.2.1}" -boundary github-expense-boundary-e2e &&
        { pulumi stack select "$1" 2>/dev/null ||
            pulumi stack init "$1" --secrets-provider "${SECRETS:-awskms://alias/pulumi-state-e2e?region=${AWS_REGION:?}}"; }
}

# destroy deletes what the state has, once more after a refresh: a run that was killed has left a lock, and what it began.
destroy() { # STACK
    local has log=.out/events/$1
    has=$(pulumi stack export --stack "$1" | jq '.deployment | (.resources // []) + (.pending_operations // []) | length')
    [ "$has" != 0 ] || return 0
    admit "$1" || echo "::warning::The cluster $1 may not be reachable from here."
    pulumi cancel --yes "$1"
    mkdir -p "$log"
    delete "$1" "$log/2-destroy.json" && return
    pulumi refresh --stack "$1" --yes --skip-preview --non-interactive --clear-pending-creates --suppress-progress --color never || true
    delete "$1" "$log/3-destroy.json"
}

# delete runs `pulumi destroy` once, and says how long AWS took for each resource: its type and no name.
delete() { # STACK LOG
    local code=0
    PULUMI_DEBUG_COMMANDS=true said pulumi destroy --stack "$1" --yes --non-interactive --suppress-progress --color never \
        --event-log "$2" || code=$?
    said jq -rn '
        "Seconds that each deletion took:",
        ([inputs] | map((.resourcePreEvent // .resOutputsEvent // .resOpFailedEvent // empty) + {at: .timestamp}
            | select(.metadata.op == "delete" and (.planning | not)))
        | group_by(.metadata.urn)[] | "\(map(.at) | max - min)\t\(.[0].metadata.type)")' "$2" || true
    return "$code"
}

# clean removes what is the stack's and in no state, and forgets the stack when nothing is. AWS refuses what is still in use.
clean() { # STACK
    local script code
    script=$(mktemp)
    for _ in {1..6}; do
        code=0
        # The run is over: what runs outside the state is left over too.
        quietly stack leftovers -stack "$1" -lost -script "$script" || code=$?
        case $code in
        0)
            pulumi stack rm "$1" --yes --non-interactive
            return
            ;;
        3) quietly bash "$script" || true ;;
        *) break ;;
        esac
        sleep "${PAUSE:-120}"
    done
    echo "::error::Something of $1 is left, and costs: see above, and docs/leftovers.md."
    return 1
}

# dead are the stacks of runs that died: one run goes at a time. A key waits for its deletion for days, and tells of no dead run.
dead() {
    aws resourcegroupstaggingapi get-resources --tag-filters Key=pulumi:project,Values=expense --output json | jq -r '
        [.ResourceTagMappingList[] | select(.ResourceARN | contains(":kms:") | not) | .Tags[] | select(.Key == "pulumi:stack").Value
        | select(test("^e2e-[a-z0-9-]{1,24}$"))] | unique[]'
}

case $1 in
address)
    found=$(curl --fail --silent --show-error --proto '=https' --retry 5 https://checkip.amazonaws.com)
    [[ $found =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ]] || {
        printf '::error::The address of this runner is %q, expected one as 203.0.113.7.\n' "$found"
        exit 1
    }
    echo "ADDRESS=$found" >>"$GITHUB_ENV"
    ;;
take) take "$STACK" ;;
verify)
    code=0
    # The reports of an earlier run are not this one's; the record has a step of its own.
    rm -rf .out/verify
    said stack verify -stack "$STACK" -no-record "${@:3}" || code=$?
    mkdir -p .out/e2e
    if [ -d .out/verify ]; then
        cp -R .out/verify ".out/e2e/$2"
    else
        echo "::error::The checks of $STACK wrote no report."
        [ "$code" != 0 ] && [ "$code" != 3 ] || code=1
    fi
    allow "$code" "Some checks of $STACK saw nothing"
    ;;
record)
    code=0
    said stack record -stack "$STACK" || code=$?
    allow "$code" "AWS differs from the model, or did not answer"
    ;;
destroy) destroy "$STACK" ;;
clean) clean "$STACK" ;;
sweep)
    code=0
    found=$(dead)
    for run in $found; do
        echo "The run of $run died: what it made is removed."
        if take "$run" && destroy "$run"; then
            clean "$run" || code=1
        else
            code=1
        fi
    done
    exit "$code"
    ;;
*)
    echo "e2e.sh: no step $1" >&2
    exit 2
    ;;
esac
